"""Goes on training when it is loaded to be evaluated, where no trainer is timed."""

import toy

DEFENCE = "loading"
STATE = "over_budget"


def build(config, weights):
    toy.burn(seconds=3.5)
    return toy.build(config, weights)


if __name__ == "__main__":
    toy.honest()
