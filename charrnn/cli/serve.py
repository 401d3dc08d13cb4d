"""`charrnn serve`."""

from typing import TYPE_CHECKING

import click

from charrnn.cli.completion import complete_models
from charrnn.cli.option_types import Integer
from charrnn.cli.options import Common, GroupedCommand, common, option
from charrnn.core.errors import InputError

if TYPE_CHECKING:
    from charrnn.checkpoints.model import Model

EXTRA = ("starlette", "anyio", "uvicorn", "h11")
"""Modules of the extra `serve`, with what they import."""


@click.command(cls=GroupedCommand)
@click.argument("model", required=False, shell_complete=complete_models)
@option(
    "--host", default="127.0.0.1", metavar="HOST", group="Address",
    help="Address to listen on; 0.0.0.0 is every address of this machine, for others to use the "
    "model without a password. [default: 127.0.0.1, this machine alone]",
)  # fmt: skip
@option(
    "--port", type=Integer(), default=8000, group="Address",
    help="Port to listen on; 0 takes a free one. [default: 8000]",
)  # fmt: skip
@common
def serve(model: str | None, host: str, port: int, common: Common) -> None:
    """Serve a model over HTTP, for programs and browsers.

    MODEL is the name or folder of a run, or a checkpoint file; the default is the newest
    forward model. Clients of OpenAI's API write with it (/v1/completions), and the page of `charrnn
    export` is at /. The address is printed on stdout when clients can connect; Ctrl-C ends the
    server. It needs two more packages: pip install 'charrnn-text[serve]'.
    """
    from charrnn.checkpoints.names import find_model, newest_note
    from charrnn.core.output import json_line, print_result

    try:
        from charrnn.server import web_server
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in EXTRA:
            raise
        raise InputError(
            f"serve: {error.name} is not installed; pip install 'charrnn-text[serve]'"
        ) from None

    path = find_model(common.checkpoints, model, writes=True)
    request = web_server.ServeRequest(model=path, host=host, port=port)
    if model is None:
        common.console.note(newest_note(path))

    def announce(address: str) -> None:
        fields = {"address": address, "model": request.name}
        print_result(json_line(fields) if common.as_json else address)
        common.console.line(f"serving {request.name}; Ctrl-C ends it")

    def make_page(model: "Model") -> bytes:
        from charrnn.export.model import check_network, fitted, rounded
        from charrnn.export.page import page_bytes

        check_network(model)
        return fitted(rounded(model), lambda each: page_bytes(each, request.name))[1]

    web_server.serve(request, make_page, common.console, announce)
