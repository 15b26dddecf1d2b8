"""For all tests."""

import hypothesis

# Tests never assert times: on a busy machine an example takes as long as it takes.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")
