"""Define the record of one run of a stage, which all its steps share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from lrrt import RangeTestResult
from pipeline.config.tables import StageConfig
from pipeline.console.events import Note, Tell
from pipeline.console.stopping import Stopper
from pipeline.failures import RunLocked
from pipeline.state.database_file import check_database
from pipeline.state.ownership import check_version
from pipeline.state.run_directory import RunDirectory
from pipeline.task.preparation import Prepare, prepare
from studies import Objective, Worker
from studies.keras_tuner_study import url_of, with_absolute_file
from studies.storage.retrying import Retrying

if TYPE_CHECKING:
    from studies.sharing.board import Board
    from studies.sharing.pieces import Key

NAME = "lrrt"  # of the study in its storage; the other names there begin with it
RANGE_TESTS = f"{NAME}-range-tests"  # the name of the board of the range tests
AGAIN = f"{NAME}-further-trainings"  # ... of the further trainings of the best trials


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a stage by one process.

    Attributes:
        config: the config of the stage.
        directory: the folders of results and progress.
        tell: is called with each event.
        stopper: may stop the run before its end.
        worker: this process among those that share the run.
        owns_folders: whether this process holds the run directory, so that it may write more there than checkpoints.
        given: bounds that take the place of range tests; None if ranges are tested.
        tests_ranges: whether it may test ranges; if not, bounds must be given, or earlier range tests must hold.
        prepare: loads the task, and makes what its range tests and its trainings are run with.
        trains: says whether this process may take work now; if not, it waits for those that do.
        heard: the keys of range tests that the run has reported, or that had ended before.
    """

    config: StageConfig
    directory: RunDirectory
    tell: Tell = lambda event: None
    stopper: Stopper = field(default_factory=Stopper)
    worker: Worker = field(default_factory=Worker.here)
    owns_folders: bool = True
    given: RangeTestResult | None = None
    tests_ranges: bool = True
    prepare: Prepare = prepare
    trains: Callable[[], bool] = lambda: True
    heard: set[Key] = field(default_factory=set)
    _noted: set[str] = field(default_factory=set)

    @classmethod
    def make(
        cls,
        config: StageConfig,
        out: Path | str,
        state: Path | str,
        on_event: Tell = lambda event: None,
        stopper: Stopper | None = None,
    ) -> Run:
        """Return the run of a config in two folders, whose paths no longer depend on the working directory."""
        storage = config.study.storage and with_absolute_file(config.study.storage)
        config = config.model_copy(update={"study": config.study.model_copy(update={"storage": storage})})
        directory = RunDirectory(Path(out).absolute(), Path(state).absolute())
        return cls(config, directory, on_event, stopper or Stopper())

    @property
    def storage(self) -> str:
        """The URL of the storage that processes share; it may hold a password."""
        return self.config.study.storage or url_of(self.directory.database)

    @property
    def retry(self) -> Retrying:
        """Calls the storage, and waits while it is at fault."""
        return Retrying(self.storage, on_wait=self.stopper.check)

    def check_storage(self) -> None:
        """Refuse to go on if the study in the state folder is another version's, or is gone or damaged.

        Raises:
            ForeignRun: if another version of lrrt made it.
            CorruptState: with the file and the remedy.
        """
        check_version(self.directory)
        if not self.config.study.storage:
            check_database(self.directory)

    def note(self, text: str) -> None:
        """Report a sentence for the user."""
        self.tell(Note(text))

    def note_once(self, text: str) -> None:
        """Report a sentence unless it was reported before."""
        if text not in self._noted:
            self._noted.add(text)
            self.note(text)

    def make_storage(self) -> None:
        """Make the tables of the storage if there are none."""
        from studies.storage.database import open_storage

        open_storage(self.storage, creates=True)

    def board(self, name: str, *, objective: Objective | None = None, creates: bool = True) -> Board:
        """Open a board of pieces of work that all processes of the run share.

        Args:
            name: of the board.
            objective: what the work on a new board is scored by, if anything.
            creates: whether it is made if it does not exist.

        Raises:
            NoSuchStudy: if it does not exist, and must not be made.
        """
        from studies.objective import VAL_LOSS
        from studies.sharing.board import Board
        from studies.sharing.stored_study import open_study
        from studies.storage.database import open_storage

        database = open_storage(self.storage, creates=creates)
        objectives = (objective or VAL_LOSS,)
        study, storage = open_study(name, database, objectives=objectives, creates=creates)
        return Board(study, storage, database, worker=self.worker, grace_s=self.config.study.grace_s)


@contextmanager
def holding(run: Run) -> Iterator[Run]:
    """Hold the run directory while the block runs; if another process does so and shares its storage, join that."""
    with ExitStack() as stack:
        try:
            stack.enter_context(run.directory.locked())
        except RunLocked:
            if not run.config.study.storage:
                raise
            run = replace(run, owns_folders=False)
        yield run


@contextmanager
def holding_results(run: Run) -> Iterator[None]:
    """Hold the run directory while results are written; a process that joined waits for the one that holds it."""
    with ExitStack() as stack:
        while not run.owns_folders:
            try:
                stack.enter_context(run.directory.locked())
                break
            except RunLocked:
                run.stopper.check()
        yield
