"""Registry of builders by name, with checked options.

A part of a config is a name and options, as in ``{"name": "resnet50", "width": 2}``.
One ``Registry`` for each kind of part maps the name to its builder, a class or a
function. Users can register their own:

>>> from simclr_jax.core import registry
>>> GREETINGS = registry.Registry("greeting", supplied=("language",))
>>> @GREETINGS.register("hello")
... def hello(*, language, loud=False):
...     word = {"en": "hello", "fr": "bonjour"}[language]
...     return word.upper() if loud else word
>>> GREETINGS.build("hello", {"loud": True}, language="fr", unused_by_hello=0)
'BONJOUR'
"""

import difflib
import functools
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar, final

from simclr_jax.core import errors

T = TypeVar("T")
B = TypeVar("B", bound=Callable[..., Any])


@final
class Registry(Mapping[str, Callable[..., Any]]):
    """Mapping from names to builders that checks options before building.

    The keyword-only parameters of a builder are its options, except those that the
    library supplies (``supplied``): a builder receives the ones that it declares.

    Attributes:
      kind: what the names stand for, e.g. ``"encoder"``; used in errors.
      supplied: names of the values that the library supplies; never options.
    """

    def __init__(self, kind: str, *, supplied: Iterable[str] = ()):
        """Creates an empty registry.

        Args:
          kind: what the names stand for.
          supplied: names of the values that ``build`` may be given by the library.
        """
        self.kind = kind
        self.supplied = frozenset(supplied)
        self._builders: dict[str, Callable[..., Any]] = {}

    def register(self, name: str) -> Callable[[B], B]:
        """Registers a builder under a name; a decorator.

        Args:
          name: the name in configs.

        Returns:
          A decorator that returns the builder unchanged.

        Raises:
          UserError: if the name belongs to another builder.
        """

        def add(builder: B) -> B:
            known = self._builders.get(name)
            if known is not None and _origin(known) != _origin(builder):
                raise errors.UserError(
                    f"The {self.kind} {name!r} is registered already, by "
                    f"{_origin(known)}; choose another name for {_origin(builder)}."
                )
            self._builders[name] = builder
            return builder

        return add

    def options(self, name: str) -> dict[str, inspect.Parameter]:
        """Returns the options of a builder as ``inspect.Parameter`` by name.

        Args:
          name: a registered name.

        Raises:
          UserError: if the name is unknown.
        """
        keywords = _keywords(lookup(self.kind, name, self))
        return {key: p for key, p in keywords.items() if key not in self.supplied}

    def wanted(self, name: str) -> frozenset[str]:
        """Returns the names of the supplied values that a builder declares.

        Args:
          name: a registered name.

        Raises:
          UserError: if the name is unknown.
        """
        return self.supplied & set(_keywords(lookup(self.kind, name, self)))

    def check(self, name: str, options: Iterable[str]) -> None:
        """Raises unless the name is registered and takes these options.

        Args:
          name: the name to look up.
          options: names of the options that are given.

        Raises:
          UserError: for an unknown name or option, or a missing option; lists the
            choices and the nearest match.
        """
        choices, given = self.options(name), set(options)
        what = f"{self.kind} {name!r}:"
        check_options(what, self[name], sorted(given), supplied=self.supplied)
        for option, parameter in choices.items():
            if parameter.default is parameter.empty and option not in given:
                raise errors.UserError(
                    f"The {self.kind} {name!r} needs the option {option!r}."
                )

    def build(
        self,
        name: str,
        options: Mapping[str, Any] | None = None,
        *positional: Any,
        **supplied: Any,
    ) -> Any:
        """Builds the object with a given name.

        Args:
          name: a registered name.
          options: the user's options, checked against the builder's parameters.
          *positional: handed to the builder first.
          **supplied: what the library offers; the builder gets what it names.

        Returns:
          What the builder returns.

        Raises:
          UserError: for an unknown name or option, or a missing option.
        """
        options = dict(options or {})
        self.check(name, options)
        builder = self[name]
        wanted = _keywords(builder).keys() & supplied.keys()
        return builder(*positional, **options, **{key: supplied[key] for key in wanted})

    def __getitem__(self, name: str) -> Callable[..., Any]:
        return self._builders[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._builders)

    def __len__(self) -> int:
        return len(self._builders)


def unknown_name(kind: str, name: object, choices: Iterable[str]) -> str:
    """Returns the error message for an unknown name.

    Args:
      kind: what the name stands for, e.g. ``"encoder"``.
      name: the name that was given.
      choices: the names that exist.

    Returns:
      One or two sentences: what was got, the nearest match, the choices.

    Example:
      >>> from simclr_jax.core import registry
      >>> registry.unknown_name("encoder", "resnet5", ("resnet18", "resnet50"))
      "Unknown encoder 'resnet5'. Did you mean 'resnet50'? Choices: resnet18, resnet50."
    """
    choices = sorted(choices)
    near = difflib.get_close_matches(str(name), choices, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return f"Unknown {kind} {name!r}.{hint} Choices: {', '.join(choices) or 'none'}."


def lookup(kind: str, name: str, choices: Mapping[str, T]) -> T:
    """Returns ``choices[name]``.

    Args:
      kind: what the name stands for, used in the error.
      name: the key to look up.
      choices: every name with its value.

    Returns:
      The value stored under ``name``.

    Raises:
      UserError: if ``name`` is unknown; lists the choices and the nearest match.

    Example:
      >>> from simclr_jax.core import registry
      >>> registry.lookup("platform", "cpu", {"cpu": 1, "gpu": 2})
      1
    """
    if name not in choices:
        raise errors.UserError(unknown_name(kind, name, choices))
    return choices[name]


def check_options(
    what: str,
    builder: Callable[..., Any],
    options: Iterable[str],
    *,
    supplied: Iterable[str] = (),
) -> None:
    """Raises unless every option is a keyword-only parameter of a builder.

    Args:
      what: what to call the builder in the error.
      builder: a class or a function.
      options: names of the options that are given.
      supplied: names of parameters that are not options.

    Raises:
      UserError: lists the options that exist and the nearest match.

    Example:
      >>> from simclr_jax.core import registry
      >>> def build(*, width=1):
      ...     return width
      >>> registry.check_options("builder", build, ["width"])
    """
    choices = _keywords(builder).keys() - set(supplied)
    for option in options:
        if option not in choices:
            raise errors.UserError(unknown_name(f"option of {what}", option, choices))


def _keywords(builder: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """Returns the keyword-only parameters of a class or a function."""
    if isinstance(builder, functools.partial):
        keywords = _keywords(builder.func)
        return {key: p for key, p in keywords.items() if key not in builder.keywords}
    function = builder.__init__ if inspect.isclass(builder) else builder
    parameters = inspect.signature(function).parameters
    return {key: p for key, p in parameters.items() if p.kind is p.KEYWORD_ONLY}


def _origin(builder: Callable[..., Any]) -> str:
    """Returns where a builder was defined; the same for a file that is loaded again."""
    if isinstance(builder, functools.partial):
        return f"{_origin(builder.func)}{builder.args}"
    return f"{builder.__module__}.{builder.__qualname__}"
