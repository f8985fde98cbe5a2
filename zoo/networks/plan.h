// The plan of a network is part of what measures see: measures/api/plan.h.
#pragma once

#include "measures/api/plan.h"
