'use strict';
(() => {
  const doc = JSON.parse(document.getElementById('document').textContent);
  const $ = (id) => document.getElementById(id);
  const state = {gap: 0, sort: 'tau_b', descending: true, measure: null, axis: ''};

  // every text of the document goes in as text, never as markup
  const element = (tag, attributes = {}, ...children) => {
    const e = document.createElement(tag);
    for (const [key, value] of Object.entries(attributes)) key === 'class' ? e.className = value : e.setAttribute(key, value);
    e.append(...children.filter((c) => c !== null));
    return e;
  };
  const svg = (tag, attributes) => {
    const e = document.createElementNS('http://www.w3.org/2000/svg', tag);
    for (const [key, value] of Object.entries(attributes)) e.setAttribute(key, value);
    return e;
  };
  const fixed = (v, digits = 3) => {
    if (v === null || v === undefined) return '';
    const text = v.toFixed(digits);
    return (Number(text) === 0 ? text.replace('-', '') : text).replace('-', '−');
  };
  const pText = (p) => p === null ? '' : p >= 0.001 || p === 0 ? fixed(p) : p.toExponential(1).replace('e-', 'e−');
  const levelText = (v) => v === null ? 'none' : Array.isArray(v) ? v.join('-') : String(v);
  const comparisons = () => (doc.comparison?.tests || []).filter((t) => t.gap === doc.gaps[state.gap].id);
  const result = (m) => m.results[state.gap];
  const band = () => doc.measures.map((m) => result(m).null_band).find((b) => b) || null;

  const columns = [
    {key: 'measure', title: 'Measure', value: (m) => m.id, text: true},
    {key: 'family', title: 'Family', value: (m) => m.family, text: true},
    {key: 'sign', title: 'Sign', value: (m) => m.sign, text: true},
    {key: 'tau_b', title: 'tau-b', value: (m) => result(m).tau_b, number: true},
    {key: 'interval', title: 'Interval', value: (m) => result(m).interval ? result(m).interval.low : null},
    {key: 'tau_a', title: 'tau-a', value: (m) => result(m).tau_a, number: true},
    {key: 'p_value', title: 'p', value: (m) => result(m).p_value, number: true},
    {key: 'n', title: 'n', value: (m) => result(m).n, number: true},
    {key: 'ties', title: 'Ties', value: (m) => result(m).ties.measure, number: true},
  ];

  const glyph = (m) => {
    const r = result(m), b = band();
    const x = (v) => 100 + 98 * v;
    const g = svg('svg', {class: 'glyph', viewBox: '0 0 200 20', preserveAspectRatio: 'none', role: 'img',
                          'aria-label': r.interval ? `interval ${fixed(r.interval.low)} to ${fixed(r.interval.high)}` : 'no interval'});
    if (b) g.append(svg('rect', {class: 'band', x: x(b.low), y: 1, width: x(b.high) - x(b.low), height: 18}));
    g.append(svg('line', {class: 'rail', x1: 2, y1: 10, x2: 198, y2: 10, 'vector-effect': 'non-scaling-stroke'}));
    g.append(svg('line', {class: 'axis', x1: 100, y1: 1, x2: 100, y2: 19, 'vector-effect': 'non-scaling-stroke'}));
    if (r.interval)
      g.append(svg('line', {class: 'bar', x1: x(r.interval.low), y1: 10, x2: x(r.interval.high), y2: 10, 'vector-effect': 'non-scaling-stroke'}));
    if (r.tau_b !== null) g.append(svg('ellipse', {class: 'dot', cx: x(r.tau_b), cy: 10, rx: 4.2, ry: 4.6}));
    return g;
  };

  const cell = (m, column) => {
    const r = result(m);
    if (column.key === 'measure') {
      const info = [m.counts.missing ? `${m.counts.missing} missing` : '', m.counts.censored ? `${m.counts.censored} censored` : ''].filter(Boolean).join(', ');
      const td = element('td', {class: 'id', title: [m.name, m.formula, m.source].filter(Boolean).join('\n')}, m.id,
                         m.kind === 'baseline' ? element('small', {}, 'baseline') : m.name ? element('small', {}, m.name) : null);
      if (info) td.append(element('small', {class: 'status'}, info));
      return td;
    }
    if (column.key === 'tau_b' && r.status !== 'ok') return element('td', {class: 'number status', title: r.reason || ''}, r.status);
    if (column.key === 'interval') {
      const td = element('td', {class: 'glyph'}, glyph(m));
      const range = r.interval || r.null_band;
      if (range) td.append(element('small', {}, `${r.interval ? '' : 'band '}${fixed(range.low)} to ${fixed(range.high)}`));
      return td;
    }
    if (column.key === 'p_value') return element('td', {class: 'number', title: r.p_method || ''}, pText(r.p_value));
    if (column.key === 'ties') return element('td', {class: 'number', title: 'pairs tied in the measure / the gap / both'}, `${r.ties.measure}/${r.ties.gap}/${r.ties.both}`);
    if (column.key === 'n') return element('td', {class: 'number'}, String(r.n));
    if (column.number) return element('td', {class: 'number'}, fixed(column.value(m)));
    return element('td', {}, column.value(m) ?? '');
  };

  const drawTable = () => {
    const head = element('tr');
    for (const column of columns) {
      const button = element('button', {type: 'button'}, column.title);
      button.addEventListener('click', () => {
        state.descending = state.sort === column.key ? !state.descending : !column.text;
        state.sort = column.key;
        drawTable();
        $('ranking').querySelector(`[data-key=${column.key}] button`).focus();
      });
      const sorted = state.sort === column.key ? (state.descending ? 'descending' : 'ascending') : 'none';
      head.append(element('th', {scope: 'col', 'aria-sort': sorted, 'data-key': column.key, class: column.number ? 'number' : ''}, button));
    }
    $('ranking').tHead.replaceChildren(head);
    const {value} = columns.find((c) => c.key === state.sort);
    const wanted = $('filter').value.trim().toLowerCase();
    const rows = doc.measures
        .filter((m) => $('baselines').checked || m.kind !== 'baseline')
        .filter((m) => !wanted || [m.id, m.name, m.family].some((t) => t && t.toLowerCase().includes(wanted)));
    rows.sort((a, b) => {
      const va = value(a), vb = value(b);
      if (va === null || vb === null) return (va === null) - (vb === null);  // missing last, either way round
      const order = typeof va === 'string' ? va.localeCompare(vb) : va - vb;
      return state.descending ? -order : order;
    });
    $('ranking').tBodies[0].replaceChildren(...rows.map((m) => {
      const tr = element('tr', {class: (m.kind === 'baseline' ? 'baseline' : '') + (m.id === state.measure ? ' chosen' : ''), 'data-id': m.id},
                         ...columns.map((c) => cell(m, c)));
      tr.addEventListener('click', () => choose(m.id));
      return tr;
    }));
  };

  // measures x columns; give(measure, column) -> {text, title, shade in [-1, 1], marked, value}
  const drawGrid = (id, heads, give, empty = '') => {
    const table = $(id);
    if (!heads.length) {
      table.tHead.replaceChildren();
      table.tBodies[0].replaceChildren(element('tr', {}, element('td', {}, empty)));
      return;
    }
    const rows = doc.measures.map((m) => ({m, cells: heads.map((_, c) => give(m, c))}));
    if (rows.every(({cells}) => cells.every((c) => c.value === null))) {
      const reasons = [...new Set(rows.flatMap(({cells}) => cells.map((c) => c.title)))].filter(Boolean);
      table.tHead.replaceChildren();
      table.tBodies[0].replaceChildren(...reasons.map((r) => element('tr', {}, element('td', {}, `Not computed: ${r}.`))));
      return;
    }
    const fill = () => table.tBodies[0].replaceChildren(...rows.map(({m, cells}) => element('tr', {'data-id': m.id},
        element('th', {scope: 'row'}, m.id), ...cells.map((c) => {
          const td = element('td', {class: 'number' + (c.marked ? ' marked' : ''), title: c.title}, c.text);
          if (c.shade) td.style.background = `color-mix(in srgb, ${c.shade > 0 ? '#0072b2' : '#d55e00'} ${Math.round(60 * Math.min(1, Math.abs(c.shade)))}%, transparent)`;
          return td;
        }))));
    let sorted = -1, descending = true;
    table.tHead.replaceChildren(element('tr', {}, element('th', {}, 'Measure'), ...heads.map((h, c) => {
      const button = element('button', {type: 'button'}, h.label);
      button.addEventListener('click', () => {
        descending = sorted === c ? !descending : true;
        sorted = c;
        rows.sort((a, b) => {
          const x = a.cells[c].value, y = b.cells[c].value;
          if (x === null || y === null) return (x === null) - (y === null);
          return descending ? y - x : x - y;
        });
        fill();
      });
      return element('th', {scope: 'col', class: 'number', title: h.title || ''}, button);
    })));
    fill();
  };
  const rangeText = (r) => `${fixed(r.low)} to ${fixed(r.high)}`;
  const statisticTitle = (s) => s.value === null ? s.reason || 'not computed' : [
    s.interval ? 'interval ' + rangeText(s.interval) : s.interval_reason && 'no interval: ' + s.interval_reason,
    s.null ? `null band ${rangeText(s.null)}, p ${pText(s.null.p)}, family-wise p ${pText(s.null.p_family)}` : s.null_reason && 'no null band: ' + s.null_reason,
  ].filter(Boolean).join('\n');
  // Demsar's diagram: measures hang from an axis of mean ranks, best left; a bar joins those that are not told apart
  const drawDifference = () => {
    const test = comparisons()[Number($('compared').value)];
    $('difference').textContent = test ? test.text : 'No critical difference: this document holds no comparison of several ledgers for this gap.';
    $('diagram').replaceChildren();
    if (!test) return;
    const n = test.measures.length, left = 310, width = 440, row = 20, top = 62;
    const x = (rank) => left + width * (rank - 1) / (n - 1);
    const ends = [];  // of the bars in each lane, right-most so far
    const lanes = test.cliques.map(([first, last]) => {
      let lane = ends.findIndex((end) => end < first);
      if (lane < 0) lane = ends.length;
      ends[lane] = last;
      return lane;
    });
    const labels = top + 12 + 9 * ends.length + 12, half = Math.ceil(n / 2);
    const drawing = svg('svg', {class: 'difference', viewBox: `0 0 1060 ${labels + row * (half - 1) + 12}`, role: 'img', 'aria-label': test.text});
    const line = (points, name) => drawing.append(svg('polyline', {points: points.map((p) => p.join()).join(' '), class: name}));
    const write = (text, at, y, anchor) => {
      const t = svg('text', {x: at, y, 'text-anchor': anchor});
      t.textContent = text;
      drawing.append(t);
    };
    const critical = Math.min(test.critical_difference, n - 1);
    line([[x(1), 18], [x(1), 26], [x(1), 22], [x(1 + critical), 22], [x(1 + critical), 18], [x(1 + critical), 26]], 'rule');
    write(`CD ${fixed(test.critical_difference, 2)}${critical < test.critical_difference ? ', longer than the axis' : ''}`, x(1 + critical / 2), 13, 'middle');
    line([[x(1), top], [x(n), top]], 'rule');
    for (let rank = 1; rank <= n; rank += Math.ceil(n / 15)) {
      line([[x(rank), top - 6], [x(rank), top]], 'rule');
      write(rank, x(rank), top - 10, 'middle');
    }
    test.measures.forEach((id, i) => {
      const on_left = i < half, at = x(test.mean_rank[i]), y = labels + row * (on_left ? i : n - 1 - i), end = on_left ? left - 14 : left + width + 14;
      line([[at, top], [at, y], [end, y]], 'stem');
      write(on_left ? `${id} ${fixed(test.mean_rank[i], 2)}` : `${fixed(test.mean_rank[i], 2)} ${id}`, end + (on_left ? -5 : 5), y + 4, on_left ? 'end' : 'start');
    });
    test.cliques.forEach(([first, last], i) => {
      const y = top + 12 + 9 * lanes[i];
      line([[x(test.mean_rank[first]) - 4, y], [x(test.mean_rank[last]) + 4, y]], 'clique');
    });
    $('diagram').append(drawing);
  };
  const drawGrids = () => {
    const protocol = doc.protocols[state.gap];
    drawGrid('statistics', doc.statistics.map((s) => ({label: s.label, title: s.meaning})), (m, c) => {
      const s = result(m).statistics[doc.statistics[c].id];
      const star = m.kind === 'measure' && s.null && s.null.p_family < 0.05 ? ' *' : '';
      return {text: s.value === null ? '–' : fixed(s.value) + star, title: statisticTitle(s), value: s.value};
    }, 'No statistics.');
    drawGrid('psi', doc.axes.map((a) => ({label: a.name})), (m, c) => {
      const a = result(m).axes.find((e) => e.axis === doc.axes[c].name);
      if (!a) return {text: '–', title: result(m).statistics.psi?.reason || 'not computed', value: null};
      return {text: a.psi.value === null ? '–' : fixed(a.psi.value), shade: a.psi.value, value: a.psi.value,
              title: `${a.cells.used} of ${a.cells.possible} cells, ${a.cells.constant} with a constant measure\n${statisticTitle(a.psi)}`};
    }, 'No axis was named, so there are no cells to compare within.');
    drawGrid('information', protocol.conditioning_sets.map((s) => ({label: s.join(', ') || 'none'})), (m, c) => {
      const i = result(m).information, v = i.jiang[c] ?? null;
      return {text: v === null ? '–' : fixed(v), shade: v, value: v, marked: v !== null && i.jiang_set === c,
              title: v === null ? result(m).statistics.jiang_k?.reason || 'not computed' : i.jiang_set === c ? 'the smallest' : ''};
    }, 'No conditioning set.');
    const edges = [...Array(10).keys()], within = $('environments').value;  // '' for all axes
    drawGrid('cdf', [...edges.map((k) => ({label: fixed((k + 1) / 10, 1)})), {label: 'mean'}], (m, c) => {
      const r = result(m), of = within ? r.axes.find((a) => a.axis === within)?.sign_error : null;
      const cdf = (within ? of?.cdf : r.sign_error.cdf) || [], mean = within ? of?.mean ?? null : r.statistics.sign_error_mean?.value ?? null;
      const v = c < edges.length ? cdf[(c + 1) * cdf.length / 10 - 1] ?? null : mean;
      return {text: v === null ? '–' : fixed(v, 2), value: v, shade: v === null ? 0 : c < edges.length ? v : 1 - 2 * v,
              title: v === null ? r.statistics.sign_error_mean?.reason || `no environment of ${within || 'any axis'} counts` :
                of ? `90 % ${fixed(of.q90)}, largest ${fixed(of.max)}, ${of.environments} environments` : ''};
    });
    const same = (f) => (e) => e.axis === f.axis && e.from === f.from && e.to === f.to;
    const families = [];  // the union: a constant measure has none
    for (const m of doc.measures) families.push(...result(m).sign_error.families.filter((f) => !families.some(same(f))));
    drawGrid('families', families.map((f) => ({label: `${f.axis} ${levelText(f.from)} to ${levelText(f.to)}`})), (m, c) => {
      const v = result(m).sign_error.families.find(same(families[c]))?.loss ?? null;
      return {text: v === null ? '–' : fixed(v, 2), value: v, shade: v === null ? 0 : 1 - 2 * v,
              title: v === null ? result(m).statistics.sign_error_mean?.reason || 'no environment counts' : ''};
    }, 'No value pair: no environment counts.');
    const differences = doc.protocols[state.gap].differences;
    $('pairs').tBodies[0].replaceChildren(...(differences.length ? differences.map((d) => element('tr', {}, element('th', {scope: 'row'}, d.measure),
        element('td', {}, d.other), ...[fixed(d.value), fixed(d.standard_error)].map((t) => element('td', {class: 'number'}, t)), element('td', {}, rangeText(d)),
        ...[pText(d.p), pText(d.p_family)].map((t) => element('td', {class: 'number'}, t)))) : [element('tr', {}, element('td', {colspan: 7}, 'No two measures to compare.'))]));
    $('ceiling').textContent = protocol.noise_ceiling.text;
    const groups = doc.axes.flatMap((a) => a.levels.map((level) => ({axis: a.name, level, label: `${a.name} ${levelText(level)}`})));
    drawGrid('groups', groups, (m, c) => {
      const g = result(m).groups.find((e) => e.axis === groups[c].axis && e.level === groups[c].level);
      const v = g ? g.tau_b : null;
      return {text: v === null ? '–' : fixed(v), value: v, shade: v, title: g ? `${g.n} models` : result(m).reason || 'not computed'};
    }, 'No axis was named, so there are no groups.');
    $('compared').replaceChildren(...comparisons().map((t, i) => element('option', {value: i}, doc.statistics.find((s) => s.id === t.statistic)?.label ?? t.statistic)));
    $('compared').closest('div').hidden = !comparisons().length;
    drawDifference();
  };

  // Okabe and Ito's colours, told apart by colour-blind eyes; shapes help beyond that
  const colours = ['#0072b2', '#e69f00', '#009e73', '#cc79a7', '#56b4e9', '#d55e00', '#8c7a00', '#7a7a7a'];
  const shapes = ['circle', 'triangle', 'rect', 'rectRot', 'star', 'cross', 'crossRot', 'dash'];
  let chart = null;
  const drawScatter = () => {
    const gap = doc.gaps[state.gap];
    const measure = doc.measures.find((m) => m.id === state.measure);
    const groups = new Map();
    for (const model of doc.models) {
      const x = model.measures[state.measure], y = model.gaps[gap.id];
      if (x === null || x === undefined || y === null) continue;
      const level = state.axis ? levelText(model.hp[state.axis]) : 'models';
      if (!groups.has(level)) groups.set(level, []);
      groups.get(level).push({x, y, model});
    }
    const axis = doc.axes.find((a) => a.name === state.axis);
    const levels = axis ? axis.levels.map(levelText).filter((l) => groups.has(l)) : [...groups.keys()];
    const style = getComputedStyle(document.documentElement);
    const ink = style.getPropertyValue('--soft').trim(), line = style.getPropertyValue('--line').trim();
    const positive = doc.models.every((m) => !(m.measures[state.measure] <= 0));
    $('log').disabled = !positive;
    const scale = (title, type) => ({type, title: {display: true, text: title, color: ink}, ticks: {color: ink, maxTicksLimit: 9}, grid: {color: line}});
    if (chart) chart.destroy();
    chart = new Chart($('scatter'), {
      type: 'scatter',
      data: {datasets: levels.map((level, i) => ({label: level, data: groups.get(level), backgroundColor: colours[i % colours.length] + 'cc',
                                                  borderColor: colours[i % colours.length], pointStyle: shapes[i % shapes.length], radius: 5, hoverRadius: 7}))},
      options: {
        animation: false, maintainAspectRatio: false,
        scales: {x: scale(state.measure, $('log').checked && positive ? 'logarithmic' : 'linear'), y: scale(gap.label + (gap.unit ? ` (${gap.unit})` : ''), 'linear')},
        plugins: {
          legend: {display: Boolean(state.axis), position: 'top', align: 'start', labels: {color: ink, usePointStyle: true}, title: {display: Boolean(state.axis), text: state.axis, color: ink}},
          tooltip: {callbacks: {label: ({raw}) => [`${raw.model.id}: ${raw.x.toPrecision(5)}, gap ${raw.y.toPrecision(4)}`,
                                                   Object.entries(raw.model.hp).map(([k, v]) => `${k} ${levelText(v)}`).join(', ')]}},
        },
      },
    });
    const r = result(measure), c = measure.counts;
    $('measure-counts').textContent = `${c.values} values, ${c.distinct} distinct, ${c.missing} missing, ${c.infinite} infinite, ${c.censored} censored. ` +
        `Pairs tied in the measure ${r.ties.measure}, in the gap ${r.ties.gap}, in both ${r.ties.both}. ` +
        `Sign declared ${measure.sign ?? 'none'}, observed ${r.sign_observed ?? 'none'}.`;
    $('detail').tBodies[0].replaceChildren(...doc.statistics.map(({id, label, meaning}) => {
      const s = r.statistics[id];
      return element('tr', {'data-id': id}, element('th', {scope: 'row', title: meaning}, label), element('td', {class: 'number'}, s.value === null ? '–' : fixed(s.value)),
                     element('td', {}, s.value === null ? s.reason || '' : s.interval ? rangeText(s.interval) : s.interval_reason || ''),
                     element('td', {}, s.null ? rangeText(s.null) : s.null_reason || ''),
                     element('td', {class: 'number'}, s.null ? pText(s.null.p) : ''), element('td', {class: 'number'}, s.null ? pText(s.null.p_family) : ''));
    }));
    $('measure-info').textContent = [measure.name, measure.formula, measure.source && 'Source: ' + measure.source].filter(Boolean).join(' · ');
  };

  const choose = (id) => {
    if (!$('measure').querySelector(`option[value="${CSS.escape(id)}"]`)) return;  // nothing to plot
    state.measure = id;
    $('measure').value = id;
    history.replaceState(null, '', '#' + encodeURIComponent(id));
    drawTable();
    drawScatter();
  };

  const drawEvidence = () => $('evidence').replaceChildren(...doc.protocols[state.gap].evidence.map((e) => element('li', {}, e.text)));

  const fill = () => {
    $('title').textContent = doc.title;
    $('population').textContent = doc.population.text;
    $('level').textContent = `${100 * doc.bootstrap.level} %`;
    $('gap').append(...doc.gaps.map((g, i) => element('option', {value: i}, g.label + (g.unit ? ` (${g.unit})` : ''))));
    const plotted = doc.measures.filter((m) => doc.models.some((model) => typeof model.measures[m.id] === 'number'));
    $('measure').append(...plotted.map((m) => element('option', {value: m.id}, m.id)));
    $('axis').append(...doc.axes.map((a) => element('option', {value: a.name}, a.name)), element('option', {value: ''}, 'nothing'));
    state.axis = doc.axes.length ? doc.axes[0].name : '';
    $('axis').value = state.axis;
    const best = plotted.find((m) => m.kind === 'measure') || plotted[0];
    state.measure = best ? best.id : null;
    if (best) $('measure').value = best.id;
    $('axes').tBodies[0].append(...doc.axes.map((a) => element('tr', {}, element('th', {scope: 'row'}, a.name), element('td', {}, a.levels.map(levelText).join(', ')))));
    if (!doc.axes.length) $('axes').tBodies[0].append(element('tr', {}, element('td', {}, 'No axis was named: the models are ranked as one group.')));
    $('notes').append(...doc.notes.map((n) => element('p', {}, n)));
    const p = doc.provenance, rows = [];
    const seconds = (s) => s >= 100 ? `${Math.round(s)} s` : `${Number(s.toPrecision(2))} s`;
    if (p.created) rows.push(['Created', p.created]);
    if (p.gapbench) rows.push(['gapbench', `${p.gapbench.version} (revision ${p.gapbench.revision})`]);
    if (p.libraries) rows.push(['Libraries', Object.entries(p.libraries).map(([k, v]) => `${k} ${v}`).join(', ')]);
    if (p.command) rows.push(['Command', p.command]);
    if (p.data) rows.push(['Data', `${p.data.name}, SHA-256 ${p.data.sha256}`]);
    if (p.device) rows.push(['Device', p.device + (p.threads ? `, ${p.threads} threads` : '')]);
    const counted = (models) => Object.entries(models).map(([name, n]) => `${name} (${n})`).join(', ');
    if (p.executors) rows.push(['Trained by', counted(p.executors)]);
    if (p.measured_by) rows.push(['Measured by', counted(p.measured_by)]);
    if (p.times) rows.push(['Times of this run', Object.entries(p.times).map(([k, v]) => `${k.replace(/_s$/, '').replaceAll('_', ' ')} ${seconds(v)}`).join(', ')]);
    const seeds = [...new Set(doc.models.map((m) => m.seed).filter((s) => s !== null))];
    if (seeds.length) rows.push(['Seeds', seeds.slice(0, 20).join(', ') + (seeds.length > 20 ? ', …' : '')]);
    rows.push(['Bootstrap', `${doc.bootstrap.resamples} resamples of configurations, percentile, seed ${doc.bootstrap.seed ?? 0}`]);
    if (p.inputs) rows.push(['Input', p.inputs.join(', ')]);
    $('provenance').append(...rows.flatMap(([k, v]) => [element('dt', {}, k), element('dd', {}, v)]));
    if (p.spec)
      $('spec').textContent = JSON.stringify(p.spec, null, 2);
    else
      $('spec').closest('details').remove();
  };

  fill();
  drawEvidence();
  drawTable();
  drawGrids();
  if (state.measure) drawScatter();
  const follow = () => {
    const named = doc.measures.find((m) => '#' + encodeURIComponent(m.id) === location.hash);
    if (!named) return;
    choose(named.id);
    $('scatter-heading').scrollIntoView();
  };
  follow();
  addEventListener('hashchange', follow);
  $('gap').addEventListener('change', (e) => {
    state.gap = Number(e.target.value);
    drawEvidence();
    drawTable();
    drawGrids();
    if (state.measure) drawScatter();
  });
  $('environments').append(element('option', {value: ''}, 'all axes'), ...doc.axes.map((a) => element('option', {value: a.name}, a.name)));
  $('environments').addEventListener('change', drawGrids);
  $('compared').addEventListener('change', drawDifference);
  $('measure').addEventListener('change', (e) => choose(e.target.value));
  $('axis').addEventListener('change', (e) => { state.axis = e.target.value; drawScatter(); });
  $('log').addEventListener('change', drawScatter);
  $('filter').addEventListener('input', drawTable);
  $('baselines').addEventListener('change', drawTable);
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => state.measure && drawScatter());
})();
