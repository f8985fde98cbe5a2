// Specs: what is read, what is refused, how a grid expands, what an id depends on.
#include <set>

#include "measures/api/error.h"
#include "tests/support/catch.h"
#include "zoo/spec/zoo_spec.h"

using namespace gapbench;
using nlohmann::json;

namespace {

ZooSpec parse(const json& j) {
  return ZooSpec::parse(j.dump(), "test");
}
json minimal() {
  return {{"data", {{"name", "digits"}}}};
}

json with(const std::string& key, const json& value) {
  json j = minimal();
  j[key] = value;
  return j;
}

}  // namespace

TEST_CASE("an empty grid is one model with every default") {
  const auto models = expand(parse(minimal()), "sha");
  REQUIRE(models.size() == 1);
  CHECK(models[0].seed == 0);
  const json hp = models[0].hp.to_json();
  for (const HyperParameter& h : hyperparameters()) {
    CAPTURE(h.name);
    CHECK(hp.at(std::string(h.name)) == h.default_value);
  }
  CHECK(hp.size() == hyperparameters().size());
}

TEST_CASE("the grid is the product of the axes times the seeds, first axis slowest, seeds fastest") {
  json j = minimal();
  j["axes"] = json::parse(R"({"width": [8, 16], "lr": [0.1, 0.2, 0.3]})");
  j["seeds"] = json::array({7, 3});
  // the order of axes is the user's, which a parsed text keeps
  const ZooSpec spec = ZooSpec::parse(
      R"({"data": {"name": "digits"}, "axes": {"width": [8, 16], "lr": [0.1, 0.2, 0.3]}, "seeds": [7, 3]})",
      "test");
  const auto models = expand(spec, "sha");
  REQUIRE(models.size() == 12);
  std::size_t i = 0;
  for (const std::int64_t width : {8, 16})
    for (const double lr : {0.1, 0.2, 0.3})
      for (const std::uint64_t seed : {7u, 3u}) {
        CHECK(models[i].hp.width == width);
        CHECK(models[i].hp.lr == lr);
        CHECK(models[i].seed == seed);
        ++i;
      }
  std::set<std::string> ids, configurations;
  for (const ModelSpec& m : models) {
    ids.insert(m.id);
    configurations.insert(m.configuration);
  }
  CHECK(ids.size() == 12);
  CHECK(configurations.size() == 6);
}

TEST_CASE("an exclusion takes out every configuration that matches all of it") {
  json j = with("axes", {{"width", {8, 16, 32}}, {"depth", {1, 2}}});
  j["exclude"] = json::parse(R"([{"width": [8, 16], "depth": 2}, {"width": 32}])");
  const auto models = expand(parse(j), "sha");
  REQUIRE(models.size() == 2);
  for (const ModelSpec& m : models) {
    CHECK(m.hp.depth == 1);
    CHECK(m.hp.width < 32);
  }
  j["exclude"] = json::parse(R"([{"network": "fcn"}])");
  CHECK_THROWS_WITH(expand(parse(j), "sha"), Catch::Contains("leave no model"));
}

TEST_CASE("equal values written in two ways are one model, and one axis value") {
  const json a = with("fixed", {{"width", 32}, {"weight_decay", 0}}),
             b = with("fixed", {{"width", 32.0}, {"weight_decay", 0.0}});
  CHECK(expand(parse(a), "sha")[0].id == expand(parse(b), "sha")[0].id);
  CHECK_THROWS_WITH(parse(with("axes", {{"width", {32, 32.0}}})), Catch::Contains("lists 32 twice"));
}

TEST_CASE("an id depends on hyper-parameters, seed and data, and on nothing else") {
  const auto id = [](json j, const std::string& sha = "sha") { return expand(parse(j), sha)[0].id; };
  const std::string base = id(minimal());
  CHECK(base.size() == 16);
  CHECK(id(minimal(), "other") != base);
  CHECK(id(with("seeds", json::array({1}))) != base);
  CHECK(id(with("fixed", {{"lr", 0.051}})) != base);
  CHECK(id(with("fixed", {{"lr", 0.05}})) == base);  // the default, written out
  CHECK(id(with("name", "another name")) == base);
  CHECK(id(with("ranking", {{"resamples", 7}})) == base);
  CHECK(id(with("log_iterates", {{"last", 7}})) == base);
  CHECK(id(with("keep_epochs", {1})) == base);
  json elsewhere = minimal();
  elsewhere["data"]["dir"] = "/somewhere/else";
  CHECK(id(elsewhere) == base);
}

TEST_CASE("a model record reads back, and an edited one is refused") {
  const ModelSpec m = expand(parse(with("fixed", {{"widths", {9, 8, 7}}})), "sha")[0];
  CHECK(m.hp.depth == 3);
  CHECK(m.hp.width == 9);
  const ModelSpec again = ModelSpec::from_json(m.to_json(), "record");
  CHECK(again.id == m.id);
  CHECK(again.configuration == m.configuration);
  json edited = m.to_json();
  edited["hp"]["lr"] = 0.3;
  CHECK_THROWS_WITH(ModelSpec::from_json(edited, "record"),
                    Catch::Contains("does not belong to these hyper-parameters"));
  edited = m.to_json();
  edited.erase("seed");
  CHECK_THROWS_WITH(ModelSpec::from_json(edited, "record"), Catch::Contains("record: not a model record"));
}

TEST_CASE("what a spec may not say is refused with the place and what was allowed") {
  const auto message = [](const json& j) {
    try {
      expand(parse(j), "sha");
    } catch (const InputError& e) {
      return std::string(e.what());
    }
    return std::string("accepted");
  };
  const std::vector<std::pair<json, std::string>> cases = {
      {with("axis", json::object()), "test: unknown key 'axis'; did you mean 'axes'?"},
      {with("fixed", {{"momentun", 0.5}}), "unknown hyper-parameter 'momentun'; did you mean 'momentum'?"},
      {with("fixed", {{"width", 0}}), "width = 0 is not allowed; it takes an integer >= 1"},
      {with("fixed", {{"width", 2.5}}), "width = 2.5 is not allowed"},
      {with("fixed", {{"width", "big"}}), "width = \"big\" is not allowed"},
      {with("fixed", {{"lr", 0}}), "lr = 0 is not allowed; it takes a number > 0"},
      {with("fixed", {{"dropout", 1}}), "dropout = 1 is not allowed"},
      {with("fixed", {{"standardise", 1}}), "standardise = 1 is not allowed; it takes true or false"},
      {with("fixed", {{"widths", 7}}), "widths = 7 is not allowed; it takes a list of integers"},
      {with("fixed", {{"widths", {7}}, {"network", "nin"}}), "widths is for network fcn only"},
      {with("axes", {{"lr", json::array()}}), "lr needs a list of at least one value"},
      {with("axes", json::array()), "axes must be an object"},
      {with("seeds", -1), "seeds must be a number of seeds"},
      {with("seeds", json::array({1, 1})), "seeds must be"},
      {with("measures", "pbc"), "measures must be a list of patterns"},
      {with("exclude", json::array({json::object()})), "exclude[0] must be an object of hyper-parameters"},
      {with("ranking", {{"level", 1}}), "level must be a number between 0 and 1"},
      {with("log_iterates", {{"lst", 3}}), "log_iterates: unknown key 'lst'; did you mean 'last'?"},
      {with("log_iterates", {{"last", 0}}), "last must be an integer from 1 to 1000000, found 0"},
      {with("log_iterates", {{"dimension", 10}}),
       "dimension must be a multiple of 4 from 4 to 100000, found 10"},
      {with("log_iterates", 5), "log_iterates must be a JSON object"},
      {with("data", json::object()), "data needs a \"name\""},
      {json::object(), "key 'data' is missing"},
  };
  for (const auto& [spec, expected] : cases) {
    CAPTURE(spec.dump());
    CHECK_THAT(message(spec), Catch::Contains(expected));
  }
  CHECK_THROWS_WITH(ZooSpec::parse("{\"data\": ", "half.json"),
                    Catch::Contains("half.json: not valid JSON at byte"));
}
