"""What tells an order from one that chance draws."""

import numpy as np

ENOUGH = 40  # things in an order; with fewer, chance may look like a fault


def unlike_chance(order: np.ndarray) -> str | None:
    """Say in what an order differs from one that chance draws; a fair one is blamed once in ten million times.

    The sum of the ways that the images have gone is Spearman's footrule; its mean and spread are those of Diaconis and
    Graham (1977). Shapes: (N,) indices, of `ENOUGH` or more.
    """
    count = len(order)
    if np.isin(np.diff(order) % count, (1, count - 1)).mean() > 1 / 3:  # in chance's orders: two of them
        return (
            "Most images still follow the one that they followed before. Draw any order, each as likely as the others."
        )
    if (order == np.arange(count)).mean() > 1 / 4:  # in chance's orders: one
        return "Many images stay where they were. Draw an order for all of them."
    way, spread = np.abs(order - np.arange(count)).sum(), np.sqrt(2 * count**3 / 45)
    if abs(way - count**2 / 3) > 5.5 * spread:
        return "The images go only to certain places, such as near ones. Each should come to any place."
    return None
