"""Pixel classes of rendered labels."""

from __future__ import annotations

from enum import IntEnum


class SemanticClass(IntEnum):
    """Class of a pixel; the values are stored in files, append only. Lamps that matter to a driver are classes of their own."""

    SKY = 0
    ROAD = 1
    PAINT = 2
    CROSSWALK = 3
    SIDEWALK = 4
    GRASS = 5
    BUILDING = 6
    VEGETATION = 7
    POLE = 8
    VEHICLE = 9
    PEDESTRIAN = 10
    CYCLIST = 11
    OBSTACLE = 12
    SIGNAL_BODY = 13
    SIGNAL_GREEN = 14
    SIGNAL_AMBER = 15
    SIGNAL_RED = 16
    BRAKE_LIGHT = 17
    INDICATOR = 18
    BEACON = 19
    STOP_SIGN = 20
    YIELD_SIGN = 21
