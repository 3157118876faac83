"""rich-click where it is installed, plain click where it is not."""

# rich-click is click with colours and tables in its help, and the same interface.
try:
    import rich_click as click
except ImportError:
    import click  # type: ignore[no-redef]

__all__ = ["click"]
