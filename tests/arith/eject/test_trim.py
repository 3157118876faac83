"""What is left out of a file, rule by rule."""

from arith.eject.trim import trim

BEFORE = '''class Base(ABC):
    """Nothing of it stays."""

    relative = False

    @abstractmethod
    def term(self): ...


class Own(Base, nn.Module):
    """Stays.

    Args:
        size: of it.
    """

    relative = True

    def __init__(self, size):
        super().__init__()
        for name in ("a", "b"):
            if name == size:
                message = "no"
                raise ValueError(message)
        least = size - 1
        if size < least:
            raise ValueError("never")
        self.size, self.unread = size, size
        self.reach = size
        self.table = nn.Parameter(torch.zeros(size))

    def __post_init__(self):
        super().__post_init__()

    def term(self):
        assert self.size
        return Table(self.size)

    def extra_repr(self):
        return "Own"


class Other:
    """Nobody makes one."""


class Table:
    """A term."""


Term = Other | Table


# Goes with what it is about.
def unused() -> Term:
    return unused()


def attention(terms: list[Term]):
    for term in terms:
        match term:
            case Other():
                return 1
            case Table():
                return 2


def root():
    return attention([Own(3).term()])
'''
AFTER = '''class Own(nn.Module):
    """Stays."""

    def __init__(self, size):
        super().__init__()
        self.size, self.unread = size, size
        self.table = nn.Parameter(torch.zeros(size))

    def term(self):
        return Table(self.size)


class Table:
    """A term."""


Term = Table


def attention(terms: list[Term]):
    for term in terms:
        match term:
            case Table():
                return 2


def root():
    return attention([Own(3).term()])'''


def test_what_a_root_does_not_reach_is_left_out() -> None:
    assert trim(BEFORE, {"root"}) == AFTER


def test_a_root_keeps_all_its_methods_and_a_used_base_stays() -> None:
    text = "class A:\n    def f(self):\n        return 1\n\n\nclass B(A):\n    def g(self):\n        return 2"
    assert trim(text, {"A", "B"}) == text
    assert trim(text, {"B"}) == "class B:\n    def g(self):\n        return 2"
    asked = text + "\n\n\ndef root():\n    return B().f()"
    assert "def f" in trim(asked, {"root"})
