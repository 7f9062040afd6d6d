"""DuckDB macros for what Presto names or means otherwise.

Simplified: percentiles (nearest rank) and distinct counts are exact, times are UTC, a double divided by zero is an
error instead of Infinity.
"""

from __future__ import annotations

_MOMENT = "coalesce(make_timestamp(try_cast(t::varchar as bigint) * 1000000), try_cast(t::varchar as timestamp))"
"""A unix time in seconds, or a timestamp, as a timestamp."""

MACROS = f"""
approx_percentile(x, p) as quantile_disc(x, p);
approx_distinct(x) as count(distinct x);
count_if(x) as count(case when x then 1 end);
map_agg(k, v) as map_from_entries(list((k, v)));
presto_divide(x, y) as case when y = 0 and typeof(x) like '%INT%' and typeof(y) like '%INT%'
  then error('/ by zero') else x // y end;
regexp_like(s, p) as regexp_matches(s, p);
regexp_replace(s, p) as system.main.regexp_replace(s, p, '', 'g'),
  (s, p, r) as system.main.regexp_replace(s, p, system.main.regexp_replace(r, '\\$(\\d+)', '\\\\\\1', 'g'), 'g');
regexp_extract(s, p) as case when regexp_matches(s, p) then system.main.regexp_extract(s, p) end,
  (s, p, g) as case when regexp_matches(s, p) then system.main.regexp_extract(s, p, g) end;
split(s, d) as string_split(s, d),
  (s, d, n) as case when len(string_split(s, d)) <= n then string_split(s, d)
    else list_concat(string_split(s, d)[1:n - 1], [array_to_string(string_split(s, d)[n:], d)]) end;
split_part(s, d, n) as case when n <= len(string_split(s, d)) then system.main.split_part(s, d, n) end;
concat(a, b) as a || b, (a, b, c) as a || b || c, (a, b, c, d) as a || b || c || d,
  (a, b, c, d, e) as a || b || c || d || e;
json_extract(j, p) as case when json_valid(j) then system.main.json_extract(j, p) end;
json_parse(s) as json(s);
json_extract_scalar(j, p) as case when json_valid(j) and json_type(j, p) not in ('OBJECT', 'ARRAY')
  then json_extract_string(j, p) end;
date_trunc(u, t) as system.main.date_trunc(u, {_MOMENT});
date_format(t, f) as strftime({_MOMENT}, f);
date_parse(s, f) as strptime(s, f);
from_unixtime(t) as make_timestamp(cast(t * 1000000 as bigint));
to_unixtime(t) as epoch(t);
cardinality(x) as len(x);
element_at(x, k) as x[k];
array_join(x, d) as array_to_string(x, d);
array_max(x) as list_max(x);
array_min(x) as list_min(x);
sequence(a, b) as range(a, b + 1), (a, b, s) as range(a, b + s, s);
url_extract_host(u) as system.main.regexp_extract(u, '^[a-z]+://([^/:?#]+)', 1);
url_extract_path(u) as system.main.regexp_extract(u, '^[a-z]+://[^/?#]+([^?#]*)', 1);
url_extract_parameter(u, n) as nullif(system.main.regexp_extract(u, '[?&]' || n || '=([^&#]*)', 1), '')
""".strip().split(";\n")
