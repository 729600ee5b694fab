"""The steps of a stage, in their order: opening, range tests, search, further trainings."""
