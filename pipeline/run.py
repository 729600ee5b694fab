"""Define the record of one run of a stage, which all its steps share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.config.tables import StageConfig
from pipeline.console.events import Note, Tell
from pipeline.console.stopping import Stopper
from pipeline.state.database_file import check_database
from pipeline.state.run_directory import RunDirectory
from studies import Worker
from studies.keras_tuner_study import url_of, with_absolute_file
from studies.storage.retrying import Retrying

if TYPE_CHECKING:
    from studies.storage.board import Board

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
        trains: says whether this process may take work now; if not, it waits for those that do.
    """

    config: StageConfig
    directory: RunDirectory
    tell: Tell = lambda event: None
    stopper: Stopper = field(default_factory=Stopper)
    worker: Worker = field(default_factory=Worker.here)
    owns_folders: bool = True
    trains: Callable[[], bool] = lambda: True

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
        """Refuse to go on if the study in the state folder is gone or damaged.

        Raises:
            CorruptState: with the file and the remedy.
        """
        if not self.config.study.storage:
            check_database(self.directory)

    def note(self, text: str) -> None:
        """Report a sentence for the user."""
        self.tell(Note(text))

    def board(self, name: str, *, creates: bool = True) -> Board:
        """Open a board of pieces of work that all processes of the run share.

        Raises:
            NoSuchStudy: if it does not exist, and must not be made.
        """
        from studies.storage.board import Board
        from studies.storage.database import open_storage
        from studies.storage.stored_study import open_study

        database = open_storage(self.storage, creates=creates)
        study, storage = open_study(name, database, creates=creates)
        return Board(study, storage, database, worker=self.worker, grace_s=self.config.study.grace_s)
