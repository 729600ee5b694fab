"""List regressions whose targets are not scaled, and of which inputs explain little: noise hides what is learnt.

Any loss of a batch says more about its samples than about the weights.
"""

from __future__ import annotations

from typing import Any

import keras
from more_tasks.installed import r_table
from more_tasks.task import OPTIMIZERS, Array, Recipe, loader, sample, standardized

__all__ = ["NAMES", "OPTIMIZERS", "load"]

layers = keras.layers


def network(num_columns: int) -> keras.Model:
    return keras.Sequential(
        [layers.Input((num_columns,)), layers.Dense(32, "relu"), layers.Dense(32, "relu"), layers.Dense(1)]
    )


def wages() -> tuple[Array, Array]:
    """Return people's schooling, experience and region, and their wages: 50 to 18,777 dollars a week."""
    return columns_of(r_table("AER", "CPS1988"), "wage", 12_000)


def visits() -> tuple[Array, Array]:
    """Return the health and means of old people, and how often each saw a doctor: 0 to 89 times."""
    others = ["nvisits", "ovisits", "novisits", "emergency", "hospital"]
    return columns_of(r_table("AER", "NMES1988").drop(columns=others), "visits", 4_400)


def expenses() -> tuple[Array, Array]:
    """Return families' health and insurance, and what they spent on doctors: 0 to 18,642 dollars."""
    return columns_of(r_table("Ecdat", "MedExp"), "med", 5_500)


def columns_of(table: Any, target: str, num_samples: int) -> tuple[Array, Array]:
    """Return all other columns as numbers, each class but the first a column of its own, and the target as it is."""
    import pandas as pd

    table = table.drop(columns="rownames", errors="ignore")
    x = pd.get_dummies(table.drop(columns=target), drop_first=True).to_numpy(float)
    return sample(standardized(x), table[[target]].to_numpy("float32"), num_samples)


TASKS = {
    "wages_raw": Recipe(lambda: network(8), "mse", 32, 8, wages),
    "visits_raw": Recipe(lambda: network(16), "mse", 16, 10, visits),
    "expenses_raw": Recipe(lambda: network(16), "mae", 32, 14, expenses),
}
NAMES = tuple(TASKS)
load = loader(TASKS)
