"""Draw the rates of each family of schedules, at its defaults, for docs/explanation/schedules.md.

python docs/draw_schedules.py
"""

from pathlib import Path

PICTURES = Path(__file__).parent / "schedules"
NUM_STEPS = 600


def main() -> None:
    """Write one picture for each family."""
    import matplotlib.pyplot as plt

    from studies import FAMILIES, make_schedule, rate_table

    PICTURES.mkdir(exist_ok=True)
    for name in FAMILIES:
        rates = rate_table(make_schedule(name, 1.0, NUM_STEPS), NUM_STEPS)
        figure, axes = plt.subplots(figsize=(5, 1.8), layout="constrained")
        axes.plot([step / NUM_STEPS for step in range(NUM_STEPS)], rates, color="#0072B2")
        axes.set(xlim=(0, 1), ylim=(0, 1.05), xlabel="part of the training", ylabel="rate / peak")
        figure.savefig(PICTURES / f"{name}.png", dpi=80)
        plt.close(figure)


if __name__ == "__main__":
    main()
