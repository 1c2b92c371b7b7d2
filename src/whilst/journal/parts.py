"""What does a function depend on? A digest of each part, by name, so that a change can be named, never a value.

Looked into are, of the user's own modules, the functions and classes that the code names (by source) and the names
whose assignment in the source is a literal (the source counts, not the value that it has now), with the statements
that change what they hold; of objects that are called, or whose method is, dataclass fields and public plain
attributes, as they are before the first call; defaults, arguments of partials, closures. What else the code names is
`unseen`. Libraries count by name.
"""

from __future__ import annotations

import functools
import importlib.util
import inspect
import sys
import types
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, cast

from ..core.evidence import peek
from ..core.tree import Batched, Each, Fallback, First, Flatten, Policed, Sequence, Step, Together, children
from .contents import (
    attributes_of,
    content_digest,
    digest_in_short,
    fields_of,
    functions_in,
    functions_of,
    has_own_class,
    is_own_class,
    place_of,
    space_of,
    static_attribute,
)
from .names import (
    Space,
    assigned,
    class_nodes,
    class_values,
    is_fixed,
    is_own,
    is_own_space,
    mentioned,
    names_in,
    place_in,
    stem_of,
)
from .setting import Setter, setters
from .sources import shape_of, source_tree

MOST_PARTS = 400
DEEPEST = 16
SETS = "what sets "  # begins the name of a part that is statements
NODES = (Step, Sequence, Together, First, Fallback, Policed, Each, Batched, Flatten)
_MISSING = object()


class Parts:
    """The parts of a function.

    Attributes:
        digests: by name.
        places: where a part is, by name, if that is known: `jobs.py line 12`, `cell 3 line 1`.
        unseen: what was not looked into.
        root: which one is the function itself, or the shape of the flow.
        ignore, ignored: the names to be ignored, and those that there were.
    """

    def __init__(self, fn: Any, ignore: Collection[str] = ()) -> None:
        self.digests: dict[str, str] = {}
        self.places: dict[str, str] = {}
        self.unseen: dict[str, None] = {}
        self.ignored: set[str] = set()
        self.root: str = ""
        self.ignore: tuple[str, ...] = tuple(ignore)
        self._ignore = frozenset(ignore)
        self._seen: dict[Any, Any] = {}
        self._held: dict[int, Any] = {}
        self._root = True
        self._later: list[Callable[[], None]] = []  # so that what was found before setters were keeps its number
        node = fn if is_node(fn) else peek(fn, "node")
        if is_node(node):
            shape: list[Any] = []
            self._node(node, shape, 0)
            self._add("the shape of the flow", shape)
            self.root = "the shape of the flow"
        else:
            self._called(fn, "", 0)
            self.root = next(iter(self.digests), "")
        for look in self._later:  # grows
            look()

    # -- flows ------------------------------------------------------------------------------------------------

    def _node(self, node: Any, shape: list[Any], depth: int) -> None:
        """Describe a node: its kind, what about it changes values, its function, and what is below."""
        shape.append(type(node).__name__)
        match node:
            case Step():
                shape += [node.takes_value, [keyword for keyword, _ in node.use]]
                self._root = True
                self._called(node.fn, "", depth)
            case Together():
                shape.append(list(node.names or ()))
            case Each():
                shape += [node.ordered, *words_of_stage(node)]
            case Batched():
                shape.append(node.n)
                if node.by is not None:
                    self._called(node.by, "", depth)
            case Flatten():
                shape += words_of_stage(node)
            case _:
                pass
        below = children(node)
        shape.append(len(below))
        for _, child in below:
            self._node(child, shape, depth)

    # -- what is called ---------------------------------------------------------------------------------------

    def _called(self, fn: Any, path: str, depth: int) -> None:
        """Look into what calling `fn` depends on; `path` is how it is reached, where it is a value."""
        is_root, self._root = self._root, False
        if id(fn) in self._seen or depth > DEEPEST:
            return
        self._seen[id(fn)] = fn  # kept, so that no other thing gets its number
        if isinstance(fn, functools.partial):
            self._root = is_root
            self._called(fn.func, path, depth + 1)
            name = _name_of(fn)
            for place, value in enumerate(fn.args, 1):
                self._value(f"argument {place} of {name}", value, depth + 1)
            for keyword, value in fn.keywords.items():
                self._value(f"argument {keyword} of {name}", value, depth + 1)
        elif isinstance(fn, types.MethodType):
            self._method(fn, path, depth, is_root)
        elif isinstance(fn, types.FunctionType):
            self._function(fn, depth, is_root=is_root)
        elif isinstance(fn, type):
            self._class(fn, depth, is_root)
        elif is_node(node := peek(fn, "node")):
            shape: list[Any] = []
            self._node(node, shape, depth + 1)
            self._add(f"the shape of the flow {path or 'within'}", shape)
        elif callable(wrapped := static_attribute(fn, "__wrapped__")):  # functools.cache and the like
            self._root = is_root
            self._called(wrapped, path, depth + 1)
        elif inspect.isroutine(fn):
            self._routine(fn, path, depth, is_root)
        else:
            self._object(fn, path or "self", depth, is_root)

    def _function(
        self, fn: types.FunctionType, depth: int, *, is_root: bool = False, about: type | None = None
    ) -> None:
        if about is None and (wrapped := getattr(fn, "__wrapped__", None)) is not None:
            self._root = is_root
            self._called(wrapped, "", depth + 1)
            is_root = False  # of a library's wrapper the source is none of ours
        registry = getattr(fn, "registry", None)  # functools.singledispatch
        if isinstance(registry, types.MappingProxyType):
            for each in cast("Mapping[object, object]", registry).values():
                self._called(each, "", depth + 1)
        own = is_own(fn.__code__.co_filename)
        if not own and not is_root:
            return
        name = f"{_qualified(fn.__globals__, fn.__qualname__)}()"
        if not self._wants(fn.__name__, fn.__qualname__, name):
            return
        self._add(name, source_tree(fn), place_in(fn.__code__.co_filename, fn.__code__.co_firstlineno))
        self._bindings(fn, depth)
        if own:
            self._mentions(fn.__code__, fn.__globals__, depth, about)

    def _bindings(self, fn: types.FunctionType, depth: int) -> None:
        name = f"{fn.__name__}()"
        count = fn.__code__.co_argcount
        defaults = fn.__defaults__ or ()
        for argument, value in zip(fn.__code__.co_varnames[count - len(defaults) : count], defaults, strict=False):
            self._value(f"default {argument} of {name}", value, depth + 1)
        for argument, value in (fn.__kwdefaults__ or {}).items():
            self._value(f"default {argument} of {name}", value, depth + 1)
        for variable, cell in zip(fn.__code__.co_freevars, fn.__closure__ or (), strict=False):
            if variable == "__class__":
                continue
            try:
                value = cell.cell_contents
            except ValueError:  # not filled yet
                continue
            self._value(f"variable {variable} of {name}", value, depth + 1)

    def _method(self, fn: types.MethodType, path: str, depth: int, is_root: bool) -> None:
        owner: Any = fn.__self__
        kind: type = owner if isinstance(owner, type) else type(owner)
        function: Any = inspect.unwrap(fn.__func__)
        if isinstance(function, types.FunctionType):
            self._function(function, depth, is_root=is_root, about=kind)
        else:
            self._called(function, "", depth + 1)
        if not isinstance(owner, type):
            self._fields(owner, path.rpartition(".")[0] or "self", depth + 1)

    def _class(self, kind: type, depth: int, is_root: bool = False) -> None:
        """Look into a class that is named: all of it, and what its methods name."""
        if not (is_root or is_own_class(kind)) or not self._wants(kind.__name__, kind.__qualname__):
            return
        functions = list(functions_of(kind))
        space = space_of(kind)
        nodes = class_nodes(space, kind.__qualname__)
        tree: Any = [shape_of(each) for each in nodes]
        if not nodes:  # a class of C, or one whose module is not to be found
            tree = [
                [each.__name__, source_tree(each)] for each in sorted(functions, key=lambda each: each.__qualname__)
            ]
        place = place_in(space["__file__"], nodes[0].lineno) if nodes else place_of(functions)
        self._add(
            f"class {_qualified(space, kind.__qualname__)}", tree or f"{kind.__module__}.{kind.__qualname__}", place
        )
        for base in kind.__bases__:
            self._called(base, "", depth + 1)
        for each in functions:
            self._bindings(each, depth + 1)
            self._mentions(each.__code__, each.__globals__, depth + 1, None)

    def _routine(self, fn: Any, path: str, depth: int, is_root: bool) -> None:
        """Look into what is written in C: a name, and what it is bound to."""
        if is_root:
            name = f"{getattr(fn, '__module__', '')}.{getattr(fn, '__qualname__', '')}"
            self._add(f"{fn.__name__}()", name)
        owner = getattr(fn, "__self__", None)
        if owner is not None and not isinstance(owner, (types.ModuleType, type)):
            self._value(path.rpartition(".")[0] or "self", owner, depth + 1)  # `{...}.get`

    def _object(self, thing: object, path: str, depth: int, is_root: bool) -> None:
        """Look into an object that is called: the methods that this goes through, and its fields."""
        kind: Any = type(thing)
        method = getattr(kind, "__call__", None)  # noqa: B004 - the method itself is wanted
        function = inspect.unwrap(method) if callable(method) else None
        if isinstance(function, types.FunctionType):
            self._function(function, depth, is_root=is_root, about=kind)
        elif is_root:
            self._add(f"{kind.__name__}()", f"{kind.__module__}.{kind.__qualname__}")
        self._fields(thing, path, depth + 1)

    # -- what code names --------------------------------------------------------------------------------------

    def _mentions(self, code: types.CodeType, space: Space, depth: int, about: type | None) -> None:
        """Look into what a piece of code names: globals, and the attributes of the class that it is a method of."""
        if depth > DEEPEST:
            return
        found = mentioned(code)
        for chain in found.chains:
            self._global(chain, space, depth + 1)
        for module, name in found.imports:
            if _is_own_module(module, space):
                self._unseen(f"{module}.{name}" if name else module)
        if about is not None:
            for name in found.attributes:
                self._attribute(about, name, depth + 1)

    def _global(self, chain: tuple[str, ...], space: Space, depth: int) -> None:
        name, more = chain[0], chain[1:]
        value = space.get(name, _MISSING)
        while isinstance(value, types.ModuleType):
            here, module, space = space, name, vars(value)
            if not more or not is_own_space(space):
                return
            name, more = more[0], more[1:]
            value = space.get(name, _MISSING)
            if is_own_space(here):  # `config.MODEL = "small"`
                set_by = [each for each in setters(here, module, value) if each.path[:1] == (name,)]
                self._set(here, f"{module}.{name}", set_by, depth)
        if value is not _MISSING:
            self._named(space, name, value, depth)

    def _named(self, space: Space, name: str, value: Any, depth: int) -> None:
        """Look into a name of one of the user's own modules."""
        if isinstance(value, (types.FunctionType, types.MethodType, type)) or callable(
            static_attribute(value, "__wrapped__")
        ):
            self._called(value, name, depth)
            return
        if not is_own_space(space) or isinstance(value, types.ModuleType):
            return
        label = _qualified(space, name)
        if label in self.digests or label in self.unseen or not self._wants(name, label) or depth > DEEPEST:
            return
        found = assigned(space, name)
        is_imported = found is not None and found.imported is not None
        set_by = [each for each in setters(space, name, value) if not (is_imported and each.how == "plain")]
        is_open = self._set(space, name, set_by, depth)
        was_open = any(each.how == "bound" for each in set_by)
        if found is not None and found.imported is not None:
            self._imported(found.imported, value, depth)
        elif found is not None and found.values and all(map(is_fixed, found.values)):
            self._add(label, [shape_of(each) for each in found.values], found.place)
            names = [below for each in found.values for below in names_in(each)]
            self._names(space, names, depth, later=was_open)
            if is_open:
                self._unseen(label)
        elif isinstance(value, functools.partial) or is_node(peek(value, "node")):
            self._called(value, label, depth)
        elif set_by and not is_open and (found is None or not found.values):
            pass  # what sets it is all that it is
        elif not inspect.isroutine(value) and not (name.startswith("__") and name.endswith("__")):
            self._unseen(label)
            if has_own_class(value):
                self._called(type(value), "", depth + 1)

    def _set(self, space: Space, name: str, set_by: list[Setter], depth: int) -> bool:
        """Look into the statements that change what a name holds; return whether that is up to more than they say."""
        label = f"{SETS}{_qualified(space, name)}"
        if not set_by or label in self._seen or not self._wants(name, *_words(label)):
            return False
        self._seen[label] = label
        self._later.append(functools.partial(self._add, label, [each.shape for each in set_by], set_by[0].place))
        names = [below for each in set_by for below in each.names if below != name]
        self._names(space, names, depth, later=True)
        return not all(each.is_fixed for each in set_by)

    def _names(self, space: Space, names: list[str], depth: int, later: bool) -> None:
        if later:
            self._later.append(functools.partial(self._names, space, names, depth, later=False))
            return
        for name in names:
            if (there := space.get(name, _MISSING)) is not _MISSING:
                self._named(space, name, there, depth + 1)

    def _imported(self, target: tuple[str, str], value: Any, depth: int) -> None:
        module, name = target
        there = sys.modules.get(module)
        if there is not None and name and is_own_space(vars(there)):
            self._named(vars(there), name, value, depth + 1)

    def _attribute(self, kind: type, name: str, depth: int) -> None:
        """Look into an attribute of the user's own class: a method, a property, a literal of its body."""
        owner = next((each for each in kind.__mro__ if name in vars(each)), None)
        if owner is None or not is_own_class(owner):
            return
        found = vars(owner)[name]
        for function in functions_in(found):
            self._once(function, kind, look=functools.partial(self._function, function, depth, about=kind))
        if isinstance(found, type):
            self._called(found, name, depth)
        elif not isinstance(found, (types.MemberDescriptorType, types.GetSetDescriptorType)):
            self._class_value(owner, name, found)

    def _class_value(self, owner: type, name: str, found: Any) -> None:
        if list(functions_in(found)) or hasattr(owner, "__dataclass_fields__"):
            return
        space = space_of(owner)
        values = class_values(space, owner.__qualname__).get(name, [])
        label = _qualified(space, f"{owner.__qualname__}.{name}")
        if not self._wants(name, label):
            return
        if values and all(map(is_fixed, values)):
            self._add(label, [shape_of(each) for each in values], place_in(space["__file__"], values[0].lineno))
        else:
            self._unseen(label)

    # -- values -----------------------------------------------------------------------------------------------

    def _value(self, path: str, value: Any, depth: int) -> None:
        """Look into a value: its content where it has one, its code if it is called, its fields if it has any."""
        if not self._wants(*_words(path)):
            return
        if isinstance(value, type):
            self._called(value, path, depth + 1)
        elif fields_of(value) is not None:
            self._fields(value, path, depth)
        elif content := content_digest(value):
            self._put(path, content)
        elif type(value) in (tuple, list, dict) and len(value) <= MOST_PARTS and depth < DEEPEST:
            pairs = cast("dict[object, Any]", value).items() if isinstance(value, dict) else enumerate(value)
            for key, each in pairs:
                self._value(f"{path}[{key!r}]" if isinstance(key, (str, int)) else f"{path}[…]", each, depth + 1)
        elif isinstance(value, types.ModuleType):
            pass
        elif isinstance(value, (types.FunctionType, types.MethodType, functools.partial)) or is_node(
            peek(value, "node")
        ):
            self._called(value, path, depth)
        elif inspect.isroutine(value):
            self._put(path, digest_in_short(f"{getattr(value, '__module__', '')}.{getattr(value, '__qualname__', '')}"))
        elif has_own_class(value) and depth < DEEPEST:
            if callable(value):
                self._called(value, path, depth)
            else:
                self._called(type(value), path, depth + 1)
                self._fields(value, path, depth)
        elif callable(static_attribute(value, "__wrapped__")):
            self._called(value, path, depth)
        else:
            self._unseen(path)

    def _fields(self, thing: Any, path: str, depth: int) -> None:
        """Look into the fields of an object, as they are now."""
        known = fields_of(thing)
        if known is None:
            if content := content_digest(thing):
                self._put(path, content)
                return
            known = attributes_of(thing)
            if not known and not has_own_class(thing):
                self._unseen(path)
        if depth > DEEPEST or id(thing) in self._held:
            return
        self._held[id(thing)] = thing
        for name, is_looked_into in known.items():
            value = getattr(thing, name, _MISSING)
            if value is _MISSING or not self._wants(name, *_words(f"{path}.{name}")):
                continue
            if not is_looked_into:
                self._unseen(f"{path}.{name}")
            else:
                self._value(f"{path}.{name}", value, depth + 1)

    # -- what is kept -----------------------------------------------------------------------------------------

    def _wants(self, *names: str) -> bool:
        found = self._ignore.intersection(names)
        self.ignored |= found
        return not found

    def _once(self, *things: Any, look: Callable[[], None]) -> None:
        mark = tuple(map(id, things))
        if mark not in self._seen:
            self._seen[mark] = things  # kept, so that no other thing gets its number
            look()

    def _unseen(self, path: str) -> None:
        self.unseen[path] = None

    def _add(self, name: str, content: Any, place: str = "") -> None:
        self._put(name, digest_in_short(content), place)

    def _put(self, name: str, digest: str, place: str = "") -> None:
        number, first = 1, name
        while self.digests.get(name, digest) != digest:  # several of one name, such as lambdas
            number += 1
            name = f"{first} #{number}"
        if len(self.digests) < MOST_PARTS or name in self.digests:
            self.digests[name] = digest
            self.places[name] = place
        else:
            self._unseen(f"more than {MOST_PARTS} parts")


def is_ignored(name: str, ignore: Collection[str]) -> bool:
    """Whether a part is one of those to be ignored."""
    return not set(ignore).isdisjoint(_words(name))


def is_node(thing: Any) -> bool:
    """Whether a thing is a node of a flow."""
    return isinstance(thing, NODES)


def words_of_stage(node: Each | Flatten) -> list[str]:
    """Return what changes the values of a stage, where that is not as it was in the first version."""
    if isinstance(node, Flatten):
        return ["unordered"] * (node.concurrency > 1)
    return [node.failures] * (node.failures != "raise") + ["keeps"] * node.keeps


def _name_of(fn: Any) -> str:
    while isinstance(fn, functools.partial):
        fn = fn.func
    return f"{getattr(fn, '__name__', type(fn).__name__)}()"


def _qualified(space: Space, name: str) -> str:
    stem = stem_of(space)
    name = name.rpartition("<locals>.")[2]
    return f"{stem}.{name}" if stem else name


def _words(path: str) -> Iterator[str]:
    """Give the names that a part can be ignored by: the whole, and each attribute, argument or function on its path.

    >>> list(_words("self.client.started_at")), list(_words("argument by of scaled()"))
    (['self.client.started_at', 'client', 'started_at'], ['argument by of scaled()', 'by'])
    """
    yield path
    kind, _, rest = path.partition(" ")
    if kind in ("argument", "default", "variable"):
        words = rest.partition(" of ")[0].replace("[", ".").split(".")
    else:
        words = (rest if kind == "class" else path.removeprefix(SETS)).replace("[", ".").split(".")[1:] or [path]
    yield from (word.strip("'\"])").removesuffix("(") for word in words if word != path)


def _is_own_module(module: str, space: Space) -> bool:
    """Whether a module that a function imports is the user's; it is not imported for that."""
    top = module.partition(".")[0] or str(space.get("__package__") or "").partition(".")[0]
    if top in sys.builtin_module_names or top in sys.stdlib_module_names or not top:
        return False
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):  # `__main__` has none
        return False
    return spec is not None and is_own(spec.origin or next(iter(spec.submodule_search_locations or ()), ""))
