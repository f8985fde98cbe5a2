// gapbench list and gapbench describe: what there is, and what one thing is.
#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <memory>

#include "measures/api/error.h"
#include "measures/api/registry.h"
#include "measures/api/suggest.h"
#include "runners/cli/context.h"
#include "runners/stages/shipped_specs.h"
#include "zoo/data/dataset.h"

namespace gapbench::cli {

namespace {

using nlohmann::json;

char sign_text(Sign sign) {
  return sign == Sign::plus ? '+' : sign == Sign::minus ? '-' : '0';
}

json needs_json(unsigned needs) {
  static constexpr std::pair<unsigned, const char*> names[] = {
      {needs_weights, "weights"},         {needs_init, "initial weights"}, {needs_data, "training data"},
      {needs_labels, "labels"},           {needs_gradients, "gradients"},  {needs_hessian, "Hessian"},
      {needs_history, "training history"}};
  json list = json::array();
  for (const auto& [bit, name] : names)
    if ((needs & bit) != 0) list.push_back(name);
  return list;
}

json invariances_json(unsigned invariances) {
  static constexpr std::pair<unsigned, const char*> names[] = {
      {invariant_unit_permutation, "unit permutation"},
      {invariant_layer_scale, "layer scale"},
      {invariant_unit_scale, "unit scale"},
      {invariant_relu_rescaling, "ReLU rescaling"},
      {invariant_bias, "biases"}};
  json list = json::array();
  for (const auto& [bit, name] : names)
    if ((invariances & bit) != 0) list.push_back(name);
  return list;
}

std::string comma_list(const json& texts) {
  std::string text;
  for (const json& t : texts) text += (text.empty() ? "" : ", ") + t.get<std::string>();
  return text.empty() ? "none" : text;
}

const char* sign_words(Sign sign) {
  return sign == Sign::plus    ? "a larger value is to go with a larger gap"
         : sign == Sign::minus ? "a larger value is to go with a smaller gap"
                               : "no direction is claimed";
}

json measure_json(const MeasureInfo& m) {
  return {{"id", m.id},
          {"name", m.name},
          {"family", m.family},
          {"sign", std::string(1, sign_text(m.sign))},
          {"formula", m.formula},
          {"latex", m.latex},
          {"source", m.source},
          {"needs", needs_json(m.needs)},
          {"invariances", invariances_json(m.invariances)},
          {"stochastic", m.stochastic},
          {"searches", m.searches},
          {"on_request", m.on_request},
          {"revision", m.revision},
          {"notes", m.notes}};
}

json hyperparameter_json(const HyperParameter& h) {
  static constexpr const char* kinds[] = {"integer", "number", "boolean", "choice", "integers"};
  json j = {{"name", h.name},
            {"kind", kinds[static_cast<int>(h.kind)]},
            {"default", h.default_value},
            {"help", h.help}};
  using Kind = HyperParameter::Kind;
  if (h.kind == Kind::choice) j["choices"] = h.choices;
  if (h.kind == Kind::integer || h.kind == Kind::number || h.kind == Kind::integer_list) {
    j[h.minimum_excluded ? "exclusive_minimum" : "minimum"] = h.minimum;
    j["maximum"] = h.maximum;
  }
  return j;
}

struct Listing {
  const char* name;
  const char* what;
  std::function<json()> rows;  ///< array of objects with the keys to show
  std::vector<const char*> columns;
};

const std::vector<Listing>& listings() {
  static const std::vector<Listing> all = {
      {"measures",
       "complexity measures",
       [] {
         json rows = json::array();
         for (const Measure& m : all_measures().all()) rows.push_back(measure_json(m.info));
         return rows;
       },
       {"id", "family", "sign", "name"}},
      {"hyperparameters",
       "what can be fixed or an axis of a spec",
       [] {
         json rows = json::array();
         for (const HyperParameter& h : hyperparameters()) rows.push_back(hyperparameter_json(h));
         return rows;
       },
       {"name", "default", "help"}},
      {"datasets",
       "data sets",
       [] {
         json rows = json::array();
         for (const std::string& name : dataset_names()) rows.push_back({{"name", name}});
         return rows;
       },
       {"name"}},
      {"specs",
       "specs that come with gapbench",
       [] {
         json rows = json::array();
         for (const ShippedSpec& s : shipped_specs())
           rows.push_back(
               {{"name", s.name}, {"description", ZooSpec::parse(s.text, std::string(s.name)).description}});
         return rows;
       },
       {"name", "description"}},
  };
  return all;
}

std::string cell_text(const json& value) {
  return value.is_string() ? value.get<std::string>() : value.dump();
}

void print_table(const json& rows, const std::vector<const char*>& columns) {
  std::vector<std::size_t> widths;
  for (const char* column : columns) {
    std::size_t width = std::string_view(column).size();
    for (const json& row : rows) width = std::max(width, cell_text(row.at(column)).size());
    widths.push_back(width);
  }
  const auto print_row = [&](const auto& text_of) {
    for (std::size_t c = 0; c < columns.size(); ++c)
      fmt::print("{:<{}}{}", text_of(c), c + 1 < columns.size() ? widths[c] : 0,
                 c + 1 < columns.size() ? "  " : "\n");
  };
  print_row([&](std::size_t c) { return std::string(columns[c]); });
  for (const json& row : rows) print_row([&](std::size_t c) { return cell_text(row.at(columns[c])); });
}

// Of a heading that is an id, as Markdown viewers make it: dots are left out.
std::string anchor(std::string_view id) {
  std::string text(id);
  std::erase(text, '.');
  return text;
}

// docs/measures.md. Formulas stand in fences, where Markdown leaves their backslashes and underscores alone.
void print_measures_markdown() {
  const std::vector<Measure>& measures = all_measures().all();
  std::vector<std::string_view> families;
  for (const Measure& m : measures)
    if (std::find(families.begin(), families.end(), m.info.family) == families.end())
      families.push_back(m.info.family);
  fmt::print(
      "# Measures\n\n"
      "Generated from the program; do not edit by hand. To make it again: "
      "`gapbench list measures --format md > docs/measures.md`.\n\n"
      "{} measures in {} families. Symbols: [notation.md](notation.md). A measure of your own: "
      "[adding-a-measure.md](adding-a-measure.md).\n\n"
      "*Unchanged by* names what leaves the value alone, and a test applies each to every measure: *unit "
      "permutation*, hidden "
      "units in another order with the next layer's inputs alike; *layer scale*, each weight array times a "
      "positive "
      "constant; *unit scale*, each output unit's weights times one; *ReLU rescaling*, a layer times c > 0 "
      "and the next "
      "times 1/c; *biases*, any change of these.\n\n"
      "| id | family | sign | name |\n|---|---|:---:|---|\n",
      measures.size(), families.size());
  for (const std::string_view family : families)
    for (const Measure& m : measures)
      if (m.info.family == family)
        fmt::print("| [{}](#{}) | {} | {} | {} |\n", m.info.id, anchor(m.info.id), family,
                   sign_text(m.info.sign), m.info.name);
  for (const std::string_view family : families) {
    fmt::print("\n## Family: {}\n", family);
    for (const Measure& m : measures) {
      const MeasureInfo& i = m.info;
      if (i.family != family) continue;
      fmt::print(
          "\n### {}\n\n{}.\n\n```math\n{}\n```\n\n"
          "* In words: `{}`\n* Source: {}\n* Sign: `{}`, {}\n* Needs: {}\n* Unchanged by: {}\n* Stochastic: "
          "{}\n"
          "* Revision: {}\n",
          i.id, i.name, i.latex, i.formula, i.source, sign_text(i.sign), sign_words(i.sign),
          comma_list(needs_json(i.needs)), comma_list(invariances_json(i.invariances)),
          i.stochastic ? "yes, with a standard error" : "no", i.revision);
      if (!i.searches.empty()) fmt::print("* Searches: {}, each made once per model\n", i.searches);
      if (i.on_request) fmt::print("* Computed only where a pattern names it\n");
      if (!i.notes.empty()) fmt::print("* Pitfalls: {}\n", i.notes);
    }
  }
}

void list(const std::string& what, const std::string& format) {
  std::vector<std::string_view> names;
  for (const Listing& l : listings()) {
    names.push_back(l.name);
    if (what != l.name) continue;
    if (format == "md") {
      if (what != "measures")
        throw UsageError("--format md is for measures only; list " + what + " as table or json");
      return print_measures_markdown();
    }
    const json rows = l.rows();
    if (format == "json")
      fmt::print("{}\n", rows.dump(2));
    else
      print_table(rows, l.columns);
    return;
  }
  throw UsageError("cannot list '" + what + "'" + suggestion(what, names));
}

void describe_measure(const MeasureInfo& m) {
  fmt::print(
      "{} - {}\n\n  formula   {}\n  latex     {}\n  family    {}\n  sign      {} ({})\n  needs     {}\n  "
      "invariant {}\n  source    {}\n  revision  {}\n",
      m.id, m.name, m.formula, m.latex, m.family, sign_text(m.sign), sign_words(m.sign),
      comma_list(needs_json(m.needs)), comma_list(invariances_json(m.invariances)), m.source, m.revision);
  if (!m.notes.empty()) fmt::print("  notes     {}\n", m.notes);
}

void describe(const std::string& name) {
  std::vector<std::string> names;
  for (const Measure& m : all_measures().all()) {
    if (m.info.id == name) return describe_measure(m.info);
    names.emplace_back(m.info.id);
  }
  for (const HyperParameter& h : hyperparameters()) {
    if (h.name == name) {
      fmt::print("{} (hyper-parameter)\n\n  {}\n  default   {}\n", h.name, h.help, h.default_value.dump());
      if (!h.choices.empty()) fmt::print("  choices   {}\n", fmt::join(h.choices, ", "));
      if (h.minimum < h.maximum)
        fmt::print("  allowed   {} {} and <= {}\n", h.minimum_excluded ? ">" : ">=", h.minimum, h.maximum);
      return;
    }
    names.emplace_back(h.name);
  }
  for (const ShippedSpec& s : shipped_specs()) {
    if (s.name == name) return fmt::print("{}", s.text);
    names.emplace_back(s.name);
  }
  const std::string near = nearest_name(name, names);
  throw InputError("nothing is named '" + name + "'" +
                   (near.empty() ? "" : "; did you mean '" + near + "'?") +
                   " (gapbench list measures, hyperparameters or specs shows all names)");
}

}  // namespace

void add_list(CLI::App& app, Context&) {
  struct Arguments {
    std::string what = "measures", format = "table", name;
  };
  auto arguments = std::make_shared<Arguments>();
  CLI::App* verb = app.add_subcommand("list", "List measures, hyperparameters, datasets or specs");
  verb->add_option("WHAT", arguments->what, "measures (default), hyperparameters, datasets, specs");
  verb->add_option("--format", arguments->format, "table or json; md: the page of all measures")
      ->check(CLI::IsMember({"table", "json", "md"}));
  verb->footer(
      "Examples:\n  gapbench list\n  gapbench list hyperparameters\n  gapbench list measures --format json");
  verb->callback([arguments] { list(arguments->what, arguments->format); });

  CLI::App* describe_verb =
      app.add_subcommand("describe", "Say what a measure or a hyper-parameter is, or print a shipped spec");
  describe_verb
      ->add_option("NAME", arguments->name, "id of a measure, name of a hyper-parameter or of a shipped spec")
      ->required();
  describe_verb->footer("Examples:\n  gapbench describe pbc\n  gapbench describe mnist-fcn > my-zoo.json");
  describe_verb->callback([arguments] { describe(arguments->name); });
}

}  // namespace gapbench::cli
