"""Open-loop planning metrics: how far a plan is from the driven path, and whether it hits something.

`exact` is this project's own protocol (``eyesup-openloop-v1``), for Predictions and Truths; the names below are its. The
protocols of the literature, with their rasters and their slips, are data in `protocol`, scored by `score`.
"""

from eyesup.scoring.openloop.exact import HORIZONS_S as HORIZONS_S
from eyesup.scoring.openloop.exact import PROTOCOL as PROTOCOL
from eyesup.scoring.openloop.exact import WAYPOINT_DT_S as WAYPOINT_DT_S
from eyesup.scoring.openloop.exact import WAYPOINTS as WAYPOINTS
from eyesup.scoring.openloop.exact import Row as Row
from eyesup.scoring.openloop.exact import collision as collision
from eyesup.scoring.openloop.exact import ego_corners as ego_corners
from eyesup.scoring.openloop.exact import evaluate as evaluate
from eyesup.scoring.openloop.exact import l2 as l2
from eyesup.scoring.openloop.exact import plan_waypoints as plan_waypoints
from eyesup.scoring.openloop.exact import table as table
from eyesup.scoring.openloop.exact import truth_waypoints as truth_waypoints
from eyesup.scoring.openloop.exact import waypoint_stride as waypoint_stride
