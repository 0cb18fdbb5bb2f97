"""Templates for ``--format``."""

import pytest

from corten.cli import listing
from corten.cli.failure import Failure
from corten.cli.listing import Columns
from corten.cli.template import Template, TemplateError

DATA = {
    "Id": "abc",
    "Name": "/web",
    "Size": 1500,
    "On": True,
    "None": None,
    "State": {"Status": "running", "Pid": 7},
    "Labels": {"b": "2", "a": "1", "x.y": "z"},
    "Cmd": ["sh", "-c", "true"],
    "Ports": {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}], "90/tcp": None},
}


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{.Id}}", "abc"),
        ("{{.ID}}", "abc"),
        ("{{ .State.Status }}-{{.State.Pid}}", "running-7"),
        ("{{json .Cmd}}", '["sh","-c","true"]'),
        ("{{json .}}", None),
        ("{{.Cmd}} {{.Labels}}", "[sh -c true] map[a:1 b:2 x.y:z]"),
        ("{{.None}}", "<no value>"),
        ('{{index .Labels "x.y"}}{{index .Labels "nope"}}', "z"),
        ('{{(index (index .Ports "80/tcp") 0).HostPort}}', "8080"),
        ('{{range $p, $b := .Ports}}{{$p}}={{len $b}};{{else}}none{{end}}', "error"),
        ('{{range $p, $b := .Ports}}{{$p}}{{with $b}}>{{(index . 0).HostPort}}{{end}};{{end}}', "80/tcp>8080;90/tcp;"),
        ("{{range .Cmd}}{{.}},{{end}}", "sh,-c,true,"),
        ("{{range $i, $c := .Cmd}}{{if $i}} {{end}}{{$c}}{{end}}", "sh -c true"),
        ("{{range .Cmd}}{{if eq . \"-c\"}}{{continue}}{{end}}{{.}};{{end}}", "sh;true;"),
        ("{{range .Cmd}}{{.}}{{break}}{{end}}", "sh"),
        ("{{if .On}}yes{{else}}no{{end}}", "yes"),
        ("{{if .None}}yes{{else if .On}}maybe{{else}}no{{end}}", "maybe"),
        ("{{if and .On (gt .Size 1000)}}big{{end}}", "big"),
        ('{{or .None "fallback"}}', "fallback"),
        ("{{if not .None}}empty{{end}}", "empty"),
        ("{{with .State}}{{.Pid}} {{$.Id}}{{end}}", "7 abc"),
        ("{{.Name | upper | printf \"%s!\"}}", "/WEB!"),
        ('{{join .Cmd "+"}} {{upper "x"}} {{title "hello world"}}', "sh+-c+true X Hello World"),
        ('{{split "a/b" "/"}} {{len .Cmd}} {{slice .Id 1 2}} {{truncate "abcdef" 3}}', "[a b] 3 b abc"),
        ('{{pad "x" 1 2}}|', " x  |"),
        ("{{println .Id 1}}x", "abc 1\nx"),
        ('{{print "a" 1 2 "b"}}', "a1 2b"),
        ('{{printf "%-5s|%03d|%q|%v|%t" "a" 7 "b" 1.5 true}}', 'a    |007|"b"|1.5|true'),
        ("a {{- /* note */ -}} b", "ab"),
        ("a {{- .Id -}} b", "aabcb"),
        ("{{$x := .Id}}{{$x}}{{$x = 1}}{{$x}}", "abc1"),
        ("{{`raw {{`}} {{\"q\\\"t\\n\"}}", "raw {{ q\"t\n"),
        ("{{eq .Size 1500}} {{ne .Id \"abc\"}} {{lt 1 2}} {{ge 1 2}}", "true false true false"),
        ("{{.State.Health}}{{if .State.Health}}x{{end}}", "<nil>"),
    ],
)  # fmt: skip
def test_what_templates_give(template, text):
    if text == "error":
        with pytest.raises(TemplateError):
            Template(template).execute(DATA)
        return
    result = Template(template).execute(DATA)
    assert text is None or result == text


@pytest.mark.parametrize(
    "template",
    ["{{", "{{.Id", "{{if .On}}x", "{{end}}", "{{else}}", "{{range}}{{end}}", '{{"x}}', "{{nope .}}", "{{(.Id}}",
     "{{break}}", "{{$y}}", "{{.Id | }}", "{{define \"x\"}}{{end}}", "{{}}"],
)  # fmt: skip
def test_what_is_no_template(template):
    with pytest.raises(TemplateError, match="template parsing error"):
        Template(template).execute(DATA)


def test_unknown_fields_are_errors_with_dockers_words():
    with pytest.raises(TemplateError) as caught:
        Template("{{.Foo}}").execute(DATA)
    assert str(caught.value) == (
        'template parsing error: template: :1:2: executing "" at <.Foo>: map has no entry for key "Foo"'
    )
    with pytest.raises(TemplateError) as caught:
        Template("{{.Foo}}", "ContainerContext").execute(DATA)
    assert str(caught.value) == (
        'failed to execute template: template: :1:2: executing "" at <.Foo>: '
        "can't evaluate field Foo in type *formatter.ContainerContext"
    )


COLUMNS = Columns("ThingContext", ("ID", "Name"), {"ID": "THING ID", "Name": "NAME"})
ROWS = [
    {"ID": "1", "Name": "<a>", "Label": lambda name: name.upper()},
    {"ID": "22", "Name": "b", "Label": lambda name: ""},
]


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("", "THING ID   NAME\n1          <a>\n22         b\n"),
        ("table", "THING ID   NAME\n1          <a>\n22         b\n"),
        ("table {{.Name}}\\t{{.ID}}", "NAME      THING ID\n<a>       1\nb         22\n"),
        ('table {{.ID}}\\t{{.Label "com.my-x"}}', "THING ID   my x\n1          COM.MY-X\n22         \n"),
        ("table {{json .Name}}", 'NAME\n"<a>"\n"b"\n'),
        ("json", '{"ID":"1","Name":"\\u003ca\\u003e"}\n{"ID":"22","Name":"b"}\n'),
        ("{{json .}}", '{"ID":"1","Name":"\\u003ca\\u003e"}\n{"ID":"22","Name":"b"}\n'),
        ("{{.ID}}\\t{{.Name}}", "1\t<a>\n22\tb\n"),
    ],
)
def test_lists_in_every_format(template, text):
    assert listing.render(COLUMNS, ROWS, template) == text


def test_a_wrong_field_in_a_list_is_a_failure():
    with pytest.raises(Failure, match="can't evaluate field X in type"):
        listing.render(COLUMNS, ROWS, "{{.X}}")
