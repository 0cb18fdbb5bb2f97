"""Templates for ``--format``: the running of Go's template language over JSON values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from corten.cli import template_functions
from corten.cli.template_functions import NIL, CallError, go_text, truth
from corten.cli.template_parse import Action, Block, Jump, Node, Operand, ParseError, Pipeline, Text, parse


def _absent(value: Any, names: str) -> dict[str, Any]:
    return dict.fromkeys(names.split(), value)


_OPTIONAL = {
    **_absent("", "Variant OsVersion Parent Comment Author DockerVersion Container StopSignal MacAddress Error User"),
    **_absent("", "WorkingDir Storage"),
    **_absent([], "Mounts Manifests OnBuild Shell Entrypoint Cmd Env Aliases Links Warnings Peers"),
    **_absent(
        {}, "Annotations Tmpfs Sysctls StorageOpt ExposedPorts Volumes Labels Options DriverOpts Services Status"
    ),
    **_absent(False, "ArgsEscaped NetworkDisabled"),
    **_absent(0, "VirtualSize"),
    **_absent(NIL, "Health Healthcheck Init Descriptor ContainerConfig UsageData ClusterVolume Platform GraphDriver"),
    **_absent(NIL, "ImageManifestDescriptor StopTimeout SizeRw SizeRootFs IPAMConfig Identity"),
}
"""What Docker's types have where its JSON leaves a name out; asking for one of them is no error."""


class TemplateError(Exception):
    """The template is wrong or does not fit the data; the message is docker's."""


class _Loop(Exception):
    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


class Template:
    """A parsed template. ``kind`` names the type of the rows in messages; without it the data is a free map."""

    def __init__(self, text: str, kind: str = "") -> None:
        self._kind = kind
        try:
            self._nodes = parse(text)
        except ParseError as error:
            raise TemplateError(f"template parsing error: template: :{error.line}: {error}") from None

    def execute(self, data: Any) -> str:
        """The text for ``data``. TemplateError when a field or function does not fit."""
        return _Run(data, self._kind, template_functions.FUNCTIONS).run(self._nodes)

    def headings(self, data: Any) -> str:
        """The line of headings for a table of this template: docker's own functions leave them as they are."""
        return _Run(data, self._kind, template_functions.HEADING_FUNCTIONS).run(self._nodes)


class _Run:
    """One execution: the scopes of variables, and the output."""

    def __init__(self, data: Any, kind: str, functions: Mapping[str, Callable[..., Any]]) -> None:
        self._kind = kind
        self._functions = functions
        self._root = data
        self._scopes: list[dict[str, Any]] = [{"$": data}]
        self._out: list[str] = []

    def run(self, nodes: list[Node]) -> str:
        try:
            self._walk(nodes, self._root)
        except _Loop as error:
            raise TemplateError(
                f"template parsing error: template: :1: {{{{{error.kind}}}}} outside {{{{range}}}}"
            ) from None
        return "".join(self._out)

    def _walk(self, nodes: list[Node], dot: Any) -> None:
        for node in nodes:
            if isinstance(node, Text):
                self._out.append(node.text)
            elif isinstance(node, Action):
                value = self._pipeline(node.pipeline, dot)
                if not node.pipeline.names:
                    self._out.append(go_text(value, top=True))
            elif isinstance(node, Jump):
                raise _Loop(node.kind)
            else:
                self._scopes.append({})
                self._block(node, dot)
                self._scopes.pop()

    def _block(self, block: Block, dot: Any) -> None:
        if block.kind == "range":
            self._range(block, dot)
            return
        value = self._pipeline(block.pipeline, dot)
        if truth(value):
            self._walk(block.body, value if block.kind == "with" else dot)
        else:
            self._walk(block.other, dot)

    def _range(self, block: Block, dot: Any) -> None:
        names = block.pipeline.names
        items = self._items(self._value(block.pipeline, dot))
        if not items:
            self._walk(block.other, dot)
        depth = len(self._scopes)
        for key, item in items:
            self._scopes.append(dict(zip(names, (key, item) if len(names) > 1 else (item,), strict=False)))
            try:
                self._walk(block.body, item)
            except _Loop as loop:
                if loop.kind == "break":
                    break
            finally:
                del self._scopes[depth:]

    @staticmethod
    def _items(value: Any) -> list[tuple[Any, Any]]:
        if isinstance(value, dict):
            return sorted(value.items())
        if isinstance(value, (list, tuple)):
            return list(enumerate(value))
        if isinstance(value, int) and not isinstance(value, bool):
            return [(index, index) for index in range(value)]
        if value is None:
            return []
        raise TemplateError(f"template parsing error: template: :1: range can't iterate over {go_text(value)}")

    def _pipeline(self, pipeline: Pipeline, dot: Any) -> Any:
        value = self._value(pipeline, dot)
        for name in pipeline.names:
            self._assign(name, value, pipeline.declares)
        return value

    def _value(self, pipeline: Pipeline, dot: Any) -> Any:
        value: Any = None
        piped: tuple[Any, ...] = ()
        for operands in pipeline.commands:
            value = self._command(operands, dot, piped)
            piped = (value,)
        return value

    def _assign(self, name: str, value: Any, declares: bool) -> None:
        for scope in reversed(self._scopes):
            if declares or name in scope:
                scope[name] = value
                return
        raise TemplateError(f'template parsing error: template: :1: undefined variable "{name}"')

    def _command(self, operands: list[Operand], dot: Any, piped: tuple[Any, ...]) -> Any:
        first = operands[0]
        if first.kind == "function":
            lazy = first.value in ("and", "or")
            rest = [self._lazy(item, dot) if lazy else self._operand(item, dot) for item in operands[1:]]
            return self._call(first, [*rest, *piped])
        value = self._operand(first, dot, operands[1:], piped)
        if (len(operands) > 1 or piped) and not (first.fields and self._called):
            raise self._error(first, f"can't give argument to non-function {first}")
        return value

    def _lazy(self, operand: Operand, dot: Any) -> Any:
        return lambda: self._operand(operand, dot)

    _called = False

    def _operand(
        self, operand: Operand, dot: Any, args: list[Operand] | None = None, piped: tuple[Any, ...] = ()
    ) -> Any:
        self._called = False
        if operand.kind == "literal":
            value: Any = operand.value
        elif operand.kind == "nil":
            value = None
        elif operand.kind == "variable":
            value = self._variable(operand)
        elif operand.kind == "pipeline":
            assert isinstance(operand.value, Pipeline)
            value = self._pipeline(operand.value, dot)
        elif operand.kind == "function":
            value = self._call(operand, [])
        else:
            value = dot
        for name in operand.fields:
            value = self._field(operand, value, name)
        if callable(value):
            given = [self._operand(item, dot) for item in args or []]
            value = value(*given, *piped)
            self._called = True
        return value

    def _variable(self, operand: Operand) -> Any:
        for scope in reversed(self._scopes):
            if operand.value in scope:
                return scope[str(operand.value)]
        raise TemplateError(
            f'template parsing error: template: :{operand.token.line}: undefined variable "{operand.value}"'
        )

    def _field(self, operand: Operand, value: Any, name: str) -> Any:
        if isinstance(value, dict):
            if name in value:
                return value[name]
            folded = name.lower()
            for key in value:
                if key.lower() == folded and (key[:1].isupper() or value is self._root):
                    return value[key]
            if name in _OPTIONAL:
                return _OPTIONAL[name]
            if self._kind and value is self._root:
                raise self._error(operand, f"can't evaluate field {name} in type *formatter.{self._kind}")
            raise self._error(operand, f'map has no entry for key "{name}"')
        if value is None or value is NIL:
            raise self._error(operand, f"nil pointer evaluating {name}")
        raise self._error(operand, f"can't evaluate field {name} in type {_type(value)}")

    def _call(self, operand: Operand, args: list[Any]) -> Any:
        name = str(operand.value)
        function = self._functions.get(name)
        if function is None:
            line = operand.token.line
            raise TemplateError(f'template parsing error: template: :{line}: function "{name}" not defined')
        try:
            return function(*args)
        except CallError as error:
            raise self._error(operand, f"error calling {name}: {error}") from None
        except (TypeError, ValueError, IndexError, AttributeError):
            raise self._error(operand, f"wrong number or type of args for {name}") from None

    def _error(self, operand: Operand, message: str) -> TemplateError:
        prefix = "failed to execute template" if self._kind else "template parsing error"
        token = operand.token
        return TemplateError(
            f'{prefix}: template: :{token.line}:{token.position}: executing "" at <{operand}>: {message}'
        )


def _type(value: Any) -> str:
    names = {bool: "bool", int: "int", float: "float64", str: "string", list: "[]interface {}"}
    return names.get(type(value), "interface {}")
