// Renders a ranking document (reports/schemas/ranking.schema.json) for people and programs. Knows the
// document alone.
#pragma once

#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>

namespace gapbench::reports {

/// The document is not what the schema says; the message names the place, what was expected and what was
/// found.
class DocumentError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

using Document = nlohmann::ordered_json;

/// Throws DocumentError unless the document fits the schema and its lists fit each other (one result per gap, one
/// rank per measure, ...). Every renderer calls it. Cost: one walk through the document.
void check(const Document& ranking);

/// One page with everything in it: styles, script, charts and the document. Nothing is loaded at view time.
std::string render_html(const Document& ranking);
/// A table per gap, and what a reader must know.
std::string render_markdown(const Document& ranking);
/// One line per measure and gap, all numbers in full.
std::string render_csv(const Document& ranking);
/// Aligned columns for a terminal, one table per gap.
std::string render_table(const Document& ranking);
/// The document itself, indented, numbers in full.
std::string render_json(const Document& ranking);

}  // namespace gapbench::reports
