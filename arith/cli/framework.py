"""rich-click where it is installed, plain click where it is not."""

try:
    import rich_click as click
except ImportError:
    import click  # type: ignore[no-redef]

__all__ = ["click"]
