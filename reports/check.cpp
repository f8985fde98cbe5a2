// The published schema is the specification: the keywords of JSON Schema that it uses are interpreted here. What
// a schema cannot say (entries of one list that belong to those of another) follows by hand.
#include <algorithm>
#include <cmath>
#include <string_view>
#include <utility>

#include "ranking_schema.embedded.h"
#include "reports/report.h"

namespace gapbench::reports {

namespace {

// Where in the document: a chain through the callers, made a text only for a message.
struct Place {
  const Place* parent = nullptr;
  std::string_view key;
  std::size_t index = 0;
  std::string text() const {
    if (parent == nullptr) return std::string(key);
    return parent->text() + (key.empty() ? "[" + std::to_string(index) + "]" : "." + std::string(key));
  }
};

// The beginning of a value as JSON; never cut inside a character.
std::string excerpt(const Document& value) {
  std::string text = value.dump(-1, ' ', false, Document::error_handler_t::replace);
  if (text.size() <= 60) return text;
  std::size_t end = 57;
  while ((static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return text.substr(0, end) + "...";
}

[[noreturn]] void wrong(const Place& place, const std::string& expected, const Document& found) {
  throw DocumentError(place.text() + ": expected " + expected + ", found " + excerpt(found));
}

std::string join(const std::vector<std::string>& words) {
  std::string text;
  for (std::size_t i = 0; i < words.size(); ++i)
    text += (i == 0 ? "" : i + 1 == words.size() ? " or " : ", ") + words[i];
  return text;
}

bool is_of_type(const Document& value, const std::string& type) {
  if (type == "object") return value.is_object();
  if (type == "array") return value.is_array();
  if (type == "string") return value.is_string();
  if (type == "boolean") return value.is_boolean();
  if (type == "null") return value.is_null();
  if (type == "number") return value.is_number();
  constexpr double exact = 1ull << 53;  // "integer": 6.0 is one in JSON Schema
  return value.is_number_integer() || (value.is_number_float() && std::abs(value.get<double>()) <= exact &&
                                       value.get<double>() == std::floor(value.get<double>()));
}

std::string in_words(const std::string& type) {
  static const std::vector<std::pair<std::string, std::string>> words = {{"object", "an object"},
                                                                         {"array", "a list"},
                                                                         {"string", "a text"},
                                                                         {"boolean", "true or false"},
                                                                         {"integer", "a whole number"},
                                                                         {"number", "a number"},
                                                                         {"null", "null"}};
  return std::find_if(words.begin(), words.end(), [&](const auto& w) { return w.first == type; })->second;
}

void check_type(const Document& value, const Document& type, const Place& place) {
  std::vector<std::string> expected;
  for (const Document& t : type.is_array() ? type : Document::array({type})) {
    if (is_of_type(value, t)) return;
    expected.push_back(in_words(t));
  }
  wrong(place, join(expected), value);
}

void check_value(const Document& value, const Document& schema, const Document& root, const Place& place);

void check_object(const Document& value, const Document& schema, const Document& root, const Place& place) {
  if (const auto required = schema.find("required"); required != schema.end())
    for (const Document& key : *required)
      if (!value.contains(key.get_ref<const std::string&>()))
        throw DocumentError(place.text() + ": the key '" + key.get<std::string>() + "' is missing");
  const auto properties = schema.find("properties"), others = schema.find("additionalProperties");
  for (const auto& [key, member] : value.items()) {
    const Place here{&place, key};
    const Document* of_key = nullptr;
    if (properties != schema.end())
      if (const auto known = properties->find(key); known != properties->end()) of_key = &*known;
    if (of_key == nullptr && others != schema.end()) {
      if (*others == false) {
        std::vector<std::string> allowed;
        for (const auto& [name, ignored] : properties->items()) allowed.push_back(name);
        throw DocumentError(here.text() + ": no such key; allowed are " + join(allowed));
      }
      of_key = &*others;
    }
    if (of_key != nullptr) check_value(member, *of_key, root, here);
  }
}

void check_list(const Document& value, const Document& schema, const Document& root, const Place& place) {
  const auto count = [](std::size_t n) { return std::to_string(n) + (n == 1 ? " entry" : " entries"); };
  if (const auto least = schema.find("minItems");
      least != schema.end() && value.size() < least->get<std::size_t>())
    wrong(place, "at least " + count(*least), value);
  if (const auto most = schema.find("maxItems");
      most != schema.end() && value.size() > most->get<std::size_t>())
    wrong(place, "at most " + count(*most), value);
  if (const auto items = schema.find("items"); items != schema.end())
    for (std::size_t i = 0; i < value.size(); ++i) check_value(value[i], *items, root, Place{&place, {}, i});
}

void check_value(const Document& value, const Document& schema, const Document& root, const Place& place) {
  if (const auto to = schema.find("$ref"); to != schema.end())  // "#/$defs/name"
    return check_value(value, root["$defs"][to->get<std::string>().substr(8)], root, place);
  if (const auto type = schema.find("type"); type != schema.end()) check_type(value, *type, place);
  if (const auto only = schema.find("const"); only != schema.end() && value != *only)
    wrong(place, only->get<std::string>(), value);
  if (const auto allowed = schema.find("enum"); allowed != schema.end())
    if (std::find(allowed->begin(), allowed->end(), value) == allowed->end()) {
      std::vector<std::string> words;
      for (const Document& w : *allowed) words.push_back(w.dump());
      wrong(place, join(words), value);
    }
  if (value.is_number()) {
    if (const auto least = schema.find("minimum"); least != schema.end() && value < *least)
      wrong(place, "at least " + least->dump(), value);
    if (const auto most = schema.find("maximum"); most != schema.end() && value > *most)
      wrong(place, "at most " + most->dump(), value);
  }
  if (value.is_object()) check_object(value, schema, root, place);
  if (value.is_array()) check_list(value, schema, root, place);
}

// One entry of `list` for each of `gaps`, in their order.
void check_gaps(const Document& list, const Document& gaps, const Place& place, const char* entries) {
  if (list.size() != gaps.size())
    throw DocumentError(place.text() + ": expected " + std::to_string(gaps.size()) + " " + entries +
                        ", one per gap, found " + std::to_string(list.size()));
  for (std::size_t g = 0; g < gaps.size(); ++g) {
    const Place entry{&place, {}, g};
    if (list[g]["gap"] != gaps[g]["id"]) wrong({&entry, "gap"}, gaps[g]["id"], list[g]["gap"]);
  }
}

void check_keys(const Document& object, const Document& named, const char* name, const Place& place) {
  for (const Document& n : named)
    if (!object.contains(n[name].get_ref<const std::string&>()))
      throw DocumentError(place.text() + ": the key '" + n[name].get<std::string>() + "' is missing");
}

void check_relations(const Document& ranking, const Place& root) {
  const Document& gaps = ranking["gaps"];
  check_gaps(ranking["protocols"], gaps, {&root, "protocols"}, "protocols");
  const Place measures{&root, "measures"}, models{&root, "models"};
  for (std::size_t m = 0; m < ranking["measures"].size(); ++m) {
    const Document& results = ranking["measures"][m]["results"];
    const Place measure{&measures, {}, m}, all{&measure, "results"};
    check_gaps(results, gaps, all, "results");
    for (std::size_t g = 0; g < results.size(); ++g) {
      const Place result{&all, {}, g};
      check_keys(results[g]["statistics"], ranking["statistics"], "id", {&result, "statistics"});
    }
  }
  for (std::size_t i = 0; i < ranking["models"].size(); ++i) {
    const Place model{&models, {}, i};
    check_keys(ranking["models"][i]["gaps"], gaps, "id", {&model, "gaps"});
    check_keys(ranking["models"][i]["hp"], ranking["axes"], "name", {&model, "hp"});
  }
  if (!ranking.contains("comparison")) return;
  const Place comparison{&root, "comparison"}, tests{&comparison, "tests"};
  for (std::size_t t = 0; t < ranking["comparison"]["tests"].size(); ++t) {
    const Document& test = ranking["comparison"]["tests"][t];
    const Place place{&tests, {}, t};
    if (test["mean_rank"].size() != test["measures"].size())
      wrong({&place, "mean_rank"}, std::to_string(test["measures"].size()) + " entries, one per measure",
            test["mean_rank"]);
  }
}

}  // namespace

void check(const Document& ranking) {
  static const Document schema = Document::parse(embedded::ranking_schema());
  const Place root{nullptr, "ranking"};
  if (ranking.is_object() && ranking.contains("schema"))  // before the keys that another version may lack
    check_value(ranking["schema"], schema["properties"]["schema"], schema, {&root, "schema"});
  check_value(ranking, schema, schema, root);
  check_relations(ranking, root);
}

}  // namespace gapbench::reports
