"""What all tests share."""

import hypothesis

hypothesis.settings.register_profile("lrrt", deadline=None)  # a busy machine is no failure
hypothesis.settings.load_profile("lrrt")
