"""Functions that are made of others show their arguments, to people and editors."""

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])


def with_arguments_of(made_of: Callable[..., Any], function: F, *, method: bool = True) -> F:
    """Return the function, which shows the arguments of what it hands them to, behind `self` for a method."""
    own = [inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)] if method else []
    handed = inspect.signature(made_of).parameters.values()
    vars(function)["__signature__"] = inspect.Signature([*own, *handed])
    return function


def method_of(made_of: Callable[..., Any], method: F) -> F:
    """Return the method with the name, docstring and arguments of the function it is made of."""
    method.__name__ = made_of.__name__
    method.__doc__ = made_of.__doc__
    return with_arguments_of(made_of, method)
