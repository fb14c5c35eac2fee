"""Objects of DSPy's, known by their names: importing DSPy costs a second.

Whoever has such an object has paid for it.
"""


def dspy_object(value: object, name: str) -> object | None:
    """Return *value* if it is of DSPy's class *name*, or of one made of it."""
    for made_by in type(value).__mro__:
        if of_dspy(made_by) and made_by.__name__ == name:
            return value
    return None


def of_dspy(thing: object) -> bool:
    """Say whether *thing*, a class, was made by DSPy."""
    return str(getattr(thing, "__module__", "")).startswith("dspy.")
