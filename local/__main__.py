"""The commands behind the Makefile: `python -m local up | down | clean | install | cdk`.

Starts on the standard library of any supported Python; what needs packages goes on in the tools' virtual environment.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from local.environment import TOOLS_PYTHON, compile_cache, path_with_node
from local.install import InstallError, install
from local.instance import REPOSITORY, Instance
from local.progress import Progress


def main() -> int:
    """Runs one command; its exit status."""
    parser = argparse.ArgumentParser(prog="python -m local", description=__doc__)
    parser.add_argument("command", choices=("up", "down", "clean", "install", "cdk"))
    parser.add_argument("--installed", action="store_true", help="install nothing")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="for cdk: passed on")
    options = parser.parse_args()
    progress = Progress()
    instance = _instance()
    try:
        if options.command in ("up", "install", "cdk") and not options.installed:
            install(progress)
        if options.command == "cdk":
            return _cdk(options.arguments)
        if options.command == "up":
            return _up(instance, progress)
        if options.command in ("down", "clean"):
            from local.engine import down, forget

            (down if options.command == "down" else forget)(instance, progress)
    except KeyboardInterrupt:
        progress.say("interrupted; 'make down' stops what runs")
        return 130
    except (InstallError, OSError, RuntimeError) as error:
        progress.say(f"\n{error}")
        return 1
    return 0


def _instance() -> Instance:
    config = os.environ.get("FLOTILLA_CONFIG")
    port = os.environ.get("FLOTILLA_PORT")
    return Instance(
        port=int(port) if port else None,
        config=Path(config) if config else None,
        model_url=os.environ.get("FLOTILLA_MODEL_URL") or None,
        model=os.environ.get("FLOTILLA_MODEL") or None,
    )


def _up(instance: Instance, progress: Progress) -> int:
    if Path(sys.prefix) != TOOLS_PYTHON.parent.parent:
        os.execv(TOOLS_PYTHON, [str(TOOLS_PYTHON), "-m", "local", "--installed", "up"])
    from local.engine import up

    info = up(instance, progress)
    print(f"\nFlotilla answers at {info.api_url}")
    print(f"Keys and addresses are in {os.path.relpath(instance.info_file)}; 'make down' stops it.")
    return 0


def _cdk(arguments: list[str]) -> int:
    """The pinned CDK command with the pinned Node and the user's own AWS."""
    command = REPOSITORY / "node_modules" / ".bin" / "cdk"
    os.environ.update(compile_cache(), PATH=path_with_node(os.environ.get("PATH", os.defpath)))
    os.execv(command, [str(command), *arguments])


if __name__ == "__main__":
    sys.exit(main())
