"""A watcher that keeps the notes that it hears."""

import lrrt


class Notes(lrrt.Watcher):
    def __init__(self):
        self.notes = []

    def on_note(self, text):
        self.notes.append(text)
