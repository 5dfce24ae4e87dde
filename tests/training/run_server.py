"""Starts the ranks of runs by forking, so that Composer is imported once for all of them.

Reads a line of JSON for each request and answers with one.

{"words": [...], "ranks": N, "out": PATH, "bad": [RANK, BATCH, KIND]} starts `glm train WORDS` on N
processes, whose output goes to PATH.RANK, and answers with their numbers; "limit" is the largest
file they may write, in bytes. {"wait": PID, "seconds": S} answers with an exit code, negative for
a signal, or null. What is `bad` happens in a forward pass of one rank, in its n-th batch: `memory`
asks for more than there is, `hang` sleeps, `error` raises, `nan` spoils the loss.
"""

import json
import os
import resource
import signal
import socket
import sys
import time
from typing import Any

import torch

from glm_composer.cli import main
from glm_composer.training.composer_import import import_composer


def spoil(batch: int, kind: str) -> None:
    """Let something happen in this process's n-th forward pass of training."""
    from glm_composer.models.transformer import TransformerConfig, build_transformer
    from glm_composer.registry import models

    batches = 0

    def happen(norm: torch.nn.Module, inputs: Any, output: torch.Tensor) -> torch.Tensor:
        nonlocal batches
        batches += norm.training
        if not norm.training or batches != batch:
            return output
        if kind == "memory":
            torch.empty(2**55, dtype=torch.uint8)
        if kind == "hang":
            time.sleep(3600)
        if kind == "error":
            raise ValueError("no such thing\nand more about it")
        return output * float("nan")

    @models.register("transformer")
    def build(config: TransformerConfig) -> Any:
        model = build_transformer(config)
        model.norm.register_forward_hook(happen)
        return model


def start(request: dict[str, Any]) -> list[int]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    pids = []
    for rank in range(request["ranks"]):
        pid = os.fork()
        if not pid:
            be(rank, port, request)
        pids.append(pid)
    return pids


def be(rank: int, port: int, request: dict[str, Any]) -> None:
    """Become a rank of the run."""
    with open(f"{request['out']}.{rank}", "wb") as out:
        os.dup2(out.fileno(), 1)
        os.dup2(out.fileno(), 2)
    if request["ranks"] > 1:
        names = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "NODE_RANK")
        values = (rank, rank, request["ranks"], request["ranks"], 0)
        os.environ.update(zip(names, map(str, values), strict=True))
        os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    if "limit" in request:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (request["limit"], request["limit"]))
    bad = request.get("bad")
    if bad and bad[0] == rank:
        spoil(*bad[1:])
    main(["train", *request["words"]])


def wait(pid: int, seconds: float) -> int | None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    return None


def serve() -> None:
    import_composer()
    import glm_composer.training.run  # noqa: F401

    for line in sys.stdin:
        request = json.loads(line)
        if "wait" in request:
            print(json.dumps(wait(request["wait"], request["seconds"])), flush=True)
        else:
            print(json.dumps(start(request)), flush=True)


if __name__ == "__main__":
    serve()
