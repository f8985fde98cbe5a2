// Searches for the largest perturbation that a network's training accuracy survives: the scale sigma of Gaussian noise
// and the radius alpha of a worst-case box, each in a plain and in a magnitude-aware form. Done once per model.
#pragma once

#include <string>
#include <vector>

#include "measures/api/measure.h"

namespace gapbench::measures {

// Formula   the scale at which d(scale) = training accuracy - accuracy of the perturbed network is .1.
// Source    Jiang et al. 2019 (arXiv 1912.02178), appendix; Dziugaite et al. 2020 (arXiv 2010.11924) and its code.
// Protocols
//   suite      bisection on ln(scale) over [1e-6, 2], false position once the bracket is narrow; 10 draws, at most 10,000
//              samples, one-sided drop, accepted within .01 or half a standard error of the draws and carried to .1 by the power law
//              through two scales.
//   jiang      bisection on the scale over [0, 2], at most 20 steps, stops within .01 or at a bracket of .005; 10 draws,
//              at most 10,000 samples; returns the last midpoint. The paper leaves the counts open: these are ours.
//   dziugaite  bisection on sigma over [0, 2], at most 15 steps, absolute deviation, stops within .01; 10 draws, all
//              training samples; noise of standard deviation sigma^2, and sigma^2 w^2 + eps^2 for the magnitude-aware
//              one (the released code passes a variance for a standard deviation); returns the last midpoint.
enum class Protocol { suite, jiang, dziugaite };

/// The floor eps of magnitude-aware noise and bounds.
inline constexpr double magnitude_floor = 1e-3;

// Scale of Gaussian noise on all trained parameters of the network as trained (batch norm not folded, in evaluation mode).
//
// Formula   noise of parameter i has standard deviation sigma, or sqrt(sigma^2 w_i^2 + eps^2) where `magnitude`; d is the
//           mean over 10 draws.
//           Draws are common to all scales: draw j gives parameter i (its place in the concatenated arrays) the i-th normal
//           of the Philox stream (random_key(model id, "perturbation"), j), so the search is a function of the model.
//           Samples come in the order of one Philox shuffle, the same for all models with as many. At each scale the first
//           100, 200, 400, ... of them are looked at until the drop is 3 standard errors from the target; all of them
//           decide exactly. A logit that is not finite is a wrong answer.
// Returns   sigma with its standard error (draws and samples, by the growth of d; widened, so that three of them cover
//           with ten draws what they should); censored where d does not reach .1 in the
//           bracket, or passes it everywhere.
// Error     probability of a wrong decision about .001 a look.
// Cost      some 20,000 to 60,000 forward passes of one sample.
Outcome gaussian_scale(const Snapshot& snapshot, Probe* probe, bool magnitude,
                       Protocol protocol = Protocol::suite);

// Radius of the box |u_i| <= alpha, or |u_i| <= alpha |w_i| where `magnitude`, in which the worst perturbation of the
// trained parameters is looked for; a lower bound of the drop, so an upper bound of alpha.
//
// Formula   the largest drop over 10 starts, uniform in the middle half of the box; 20 steps of an eighth of the box along the
//           sign of the gradient of the cross-entropy on 64 samples, clipped to the box; the drop of a start is the largest
//           after 5, 10, 15 and 20 steps. Suite protocol. Start j takes the i-th uniform number of the stream
//           (random_key(model id, "ascent"), j) for parameter i.
//           A scale is too large as soon as one start shows it. It is too small when all starts say so, when four do and
//           their largest drop stays below the target by 4 of their standard deviations, or when two stay below half of it;
//           up to 800 samples are looked at to see that.
// Source    Jiang et al. 2019 describe an ascent with projection; the box follows from the bound, which takes the largest of
//           omega Gaussian numbers. Their recalled box has the floor eps, which alone may pass the target: left out.
// Returns   alpha with its standard error (samples and starts); censored as above. Pairs of starts share their batches.
// Cost      some 50,000 to 150,000 forward passes of one sample.
Outcome worst_case_scale(const Snapshot& snapshot, Probe* probe, bool magnitude);

/// Revision of the search of this name: raised when its results change.
int search_revision(const std::string& search);
/// Forward passes that a search of this name took on the networks it was tried on: for estimates.
double typical_passes(const std::string& search);

// What the searches are made of, for tests.

/// The drop at one scale as far as it has been looked at.
struct Drop {
  double value = 0;
  double sampling_error = 0;  ///< standard error by the samples not looked at; 0 when all were
  double standard_error = 0;  ///< of the expectation over draws and samples
};
class DropCurve {
 public:
  virtual ~DropCurve() = default;
  /// Begins a scale with the smallest look.
  virtual Drop begin(double scale) = 0;
  /// Looks closer at the same scale. Not called when sampling_error is 0.
  virtual Drop closer() = 0;
};
Outcome find_scale(DropCurve& curve, Protocol protocol);

}  // namespace gapbench::measures
