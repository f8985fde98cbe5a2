#pragma once

#include "measures/numerics/clones.h"
