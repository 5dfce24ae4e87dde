"""The verbs of `glm jobs`: look at runs that go on, and ask something of them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from glm_composer.runs.requests import Kind

app = typer.Typer(help="Look at running jobs and steer them.", no_args_is_help=True)

RunsDir = Annotated[Path, typer.Option(help="Parent of the runs' directories.")]
Job = Annotated[str, typer.Argument(metavar="JOB", help="A run's directory or name.")]
NoWait = Annotated[bool, typer.Option("--no-wait", help="Do not wait until it is done.")]
Timeout = Annotated[float, typer.Option(min=0, help="Seconds to wait for it.")]
RUNS = Path("runs")
# A batch may have an evaluation of all tables behind it.
PATIENCE = 600.0


@app.command()
def ls(
    runs_dir: Annotated[
        Path, typer.Argument(metavar="[RUNS_DIR]", help="Parent of the runs' directories.")
    ] = RUNS,
) -> None:
    """List the jobs: state, step, loss, speed, time left, host."""
    from glm_composer.runs.job_table import print_jobs

    print_jobs(runs_dir)


@app.command()
def status(job: Job, runs_dir: RunsDir = RUNS) -> None:
    """Show all that a job says of itself, and what waits for it."""
    from glm_composer.runs.job_table import print_job
    from glm_composer.runs.jobs import find_job

    print_job(*find_job(job, runs_dir))


@app.command()
def save(
    job: Job, runs_dir: RunsDir = RUNS, no_wait: NoWait = False, timeout: Timeout = PATIENCE
) -> None:
    """Save a checkpoint at the next batch's end."""
    _ask(job, runs_dir, "save", no_wait, timeout)


@app.command("eval")
def evaluate(
    job: Job, runs_dir: RunsDir = RUNS, no_wait: NoWait = False, timeout: Timeout = PATIENCE
) -> None:
    """Measure the loss and score all variant tables at the next batch's end."""
    _ask(job, runs_dir, "eval", no_wait, timeout)


@app.command("set")
def change(
    job: Job,
    key: Annotated[str, typer.Argument(metavar="KEY", help="Like lr_scale or save_interval.")],
    value: Annotated[str, typer.Argument(metavar="VALUE", help="Like 0.5 or 500ba.")],
    runs_dir: RunsDir = RUNS,
    no_wait: NoWait = False,
    timeout: Timeout = PATIENCE,
) -> None:
    """Change lr_scale, or an interval of evaluations or checkpoints, from the next batch on."""
    from glm_composer.runs.changes import check_change, keys_of
    from glm_composer.runs.jobs import find_job

    run_dir, _ = find_job(job, runs_dir)
    value = check_change(key, value, keys_of(run_dir))
    _ask(job, runs_dir, "set", no_wait, timeout, key, value)


@app.command()
def stop(
    job: Job, runs_dir: RunsDir = RUNS, no_wait: NoWait = False, timeout: Timeout = PATIENCE
) -> None:
    """End the job at the next batch's end; what is not saved is trained again."""
    _ask(job, runs_dir, "stop", no_wait, timeout)


@app.command("save-stop")
def save_stop(
    job: Job, runs_dir: RunsDir = RUNS, no_wait: NoWait = False, timeout: Timeout = PATIENCE
) -> None:
    """Save a checkpoint at the next batch's end, and end the job."""
    _ask(job, runs_dir, "save-stop", no_wait, timeout)


@app.command()
def abort(
    job: Job, runs_dir: RunsDir = RUNS, no_wait: NoWait = False, timeout: Timeout = PATIENCE
) -> None:
    """End the job at once, in mid-batch."""
    _ask(job, runs_dir, "abort", no_wait, timeout)


@app.command()
def cleanup(job: Job, runs_dir: RunsDir = RUNS) -> None:
    """Remove requests and torsos that a job which is over has left; its record stays."""
    from glm_composer.runs.jobs import clean_up, find_job

    for path in clean_up(*find_job(job, runs_dir)):
        print(f"removed {path}")


def _ask(
    job: str,
    runs_dir: Path,
    kind: "Kind",
    no_wait: bool,
    timeout: float,
    key: str | None = None,
    value: str | None = None,
) -> None:
    """Ask something of a job, and print its answer; exit code 1 if it refuses."""
    from glm_composer.runs.jobs import ask, find_job, is_live, wait

    run_dir, status = find_job(job, runs_dir)
    request = ask(run_dir, status, kind, key, value)
    if not is_live(status):
        print(f"{run_dir}: over; the change is made when it starts again")
        return
    if no_wait:
        print(f"asked; the answer will be in {run_dir}/commands/done/{request.id}.json")
        return
    reply = wait(run_dir, request, timeout)
    print(reply.message if reply.done else f"refused: {reply.message}")
    if not reply.done:
        raise typer.Exit(1)
