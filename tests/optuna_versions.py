"""Let Optuna read the scripts of all versions of its tables once in a process, not for each database that is opened."""

import wrapt


def read_versions_of_tables_once():
    """Change Optuna when it is imported."""
    wrapt.when_imported("optuna.storages._rdb.storage")(_change)


def _change(module):
    read, scripts = module._VersionManager._create_alembic_script, []

    def read_once(manager):
        scripts[:] = scripts or [read(manager)]
        return scripts[0]

    module._VersionManager._create_alembic_script = read_once
