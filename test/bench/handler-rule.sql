/*
 * handler-rule.sql
 *
 * Two-hop paths by a declared rule.
 */
SELECT factmerge_add_rule('two hops', ':schema.path(a, c)', $rule$
    SELECT backward.a, onward.b FROM edge AS backward JOIN edge AS onward ON onward.a = backward.b
$rule$);
