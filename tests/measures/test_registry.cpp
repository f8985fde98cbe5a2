#include "measures/api/registry.h"

#include "measures/api/error.h"
#include "measures/api/suggest.h"
#include "tests/support/catch.h"

using namespace gapbench;
using Catch::Matchers::Contains;

namespace {
Measure fake(std::string_view id) {
  Measure m;
  m.info.id = id;
  m.compute = [](const Snapshot&, Probe*) { return Outcome::value(1); };
  return m;
}
}  // namespace

TEST_CASE("patterns select measures once, in order, and must match") {
  Registry r;
  for (const char* id : {"wc-paper", "pbc", "wc-g"}) r.add(fake(id));
  const auto ids = [&](std::vector<std::string> patterns) {
    std::vector<std::string> list;
    for (const Measure* m : r.select(patterns)) list.emplace_back(m->info.id);
    return list;
  };
  CHECK(ids({}) == std::vector<std::string>{"wc-paper", "pbc", "wc-g"});
  CHECK(ids({"wc-*", "wc-g", "p?c"}) == std::vector<std::string>{"wc-paper", "pbc", "wc-g"});
  CHECK(ids({"wc-g"}) == std::vector<std::string>{"wc-g"});
  CHECK_THROWS_WITH(ids({"wc-papre"}), Contains("no measure matches 'wc-papre'; did you mean 'wc-paper'?"));
  CHECK_THROWS_AS(r.at("pbd"), InputError);
  CHECK_THROWS_WITH(r.at("pbd"), Contains("did you mean 'pbc'? (valid: wc-paper pbc wc-g)"));
  std::vector<std::string> names;
  for (int i = 0; i < 38; ++i) names.push_back("m" + std::to_string(i));
  for (const std::string& name : names) r.add(fake(name));
  CHECK_THROWS_WITH(
      r.at("pbd"), Catch::Matchers::Equals("unknown measure 'pbd'; did you mean 'pbc'? (41 are there; to see "
                                           "them: gapbench list measures)"));
}

TEST_CASE("a measure on request is computed only where it is named") {
  Registry r;
  r.add(fake("a"));
  Measure rare = fake("a-rare");
  rare.info.on_request = true;
  r.add(rare);
  CHECK(r.select({}).size() == 1);
  const std::vector<std::string> pattern = {"a-*"};
  CHECK(r.select(pattern).size() == 1);
  CHECK(r.select(pattern)[0]->info.id == "a-rare");
}

TEST_CASE("a registry refuses what would be ambiguous") {
  Registry r;
  r.add(fake("a-b"));
  CHECK_THROWS_AS(r.add(fake("a-b")), InternalError);
  CHECK_THROWS_AS(r.add(fake("A")), InternalError);
  CHECK_THROWS_AS(r.add(fake("-a")), InternalError);
  CHECK_THROWS_AS(r.add(fake("")), InternalError);
  Measure no_function = fake("c");
  no_function.compute = nullptr;
  CHECK_THROWS_AS(r.add(no_function), InternalError);
}

TEST_CASE("glob_match") {
  CHECK(glob_match("*", ""));
  CHECK(glob_match("a*c", "abbc"));
  CHECK(glob_match("a**c", "ac"));
  CHECK(glob_match("?b", "ab"));
  CHECK_FALSE(glob_match("?b", "b"));
  CHECK_FALSE(glob_match("a", "ab"));
  CHECK_FALSE(glob_match("", "a"));
}

TEST_CASE("the nearest name") {
  const std::vector<std::string> names = {"batch_size", "lr", "width"};
  CHECK(nearest_name("batchsize", names) == "batch_size");
  CHECK(nearest_name("widht", names) == "width");
  CHECK(nearest_name("zzzzzzz", names).empty());
  CHECK(edit_distance("ab", "ba") == 1);
  CHECK(edit_distance("kitten", "sitting") == 3);
}

TEST_CASE("an outcome is finite or has a reason") {
  CHECK(Outcome::value(1).ok());
  CHECK(Outcome::value(NAN).status() == Outcome::Status::undefined);
  CHECK_FALSE(Outcome::value(INFINITY).value());
  CHECK_FALSE(Outcome::value(INFINITY).reason().empty());
  CHECK(*Outcome::value(1, 0.5).standard_error() == 0.5);
  CHECK(Outcome::value(1).as_censored("bound").censored());
}
