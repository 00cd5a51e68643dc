-- A GitLab instance
--
-- Namespaces are a tree whose rows carry the whole way from the root as an array
-- of ids; paths are unique below their parent by partial indexes, whatever their
-- case; issues are numbered in each project; labels belong to a project or
-- to a group; events are partitioned by time, jobs and their artifacts by number,
-- differently in either instance, with keys and references of two columns.
BEGIN;
\ir include/real.sql
SELECT plan(18);

CALL make($ddl$
    CREATE TABLE users (
        id bigserial PRIMARY KEY,
        username varchar,
        email varchar DEFAULT '' NOT NULL,
        state varchar,
        CONSTRAINT check_user_state CHECK (char_length(state) <= 32) NOT VALID);
    CREATE UNIQUE INDEX index_users_on_username ON users (username);
    CREATE INDEX index_on_users_lower_email ON users (lower(email));
    CREATE TABLE namespaces (
        id bigserial PRIMARY KEY,
        name varchar NOT NULL,
        path varchar NOT NULL,
        type varchar DEFAULT 'Group' NOT NULL,
        owner_id bigint REFERENCES users ON DELETE CASCADE,
        parent_id bigint REFERENCES namespaces ON DELETE CASCADE,
        traversal_ids bigint[] DEFAULT '{}' NOT NULL,
        CONSTRAINT check_path CHECK (char_length(path) <= 255));
    CREATE UNIQUE INDEX index_namespaces_name_parent_id_type ON namespaces (name, parent_id, type);
    CREATE UNIQUE INDEX index_namespaces_root_path ON namespaces (lower(path)) WHERE parent_id IS NULL;
    CREATE INDEX index_namespaces_on_traversal_ids ON namespaces USING gin (traversal_ids);
    CREATE TABLE projects (
        id bigserial PRIMARY KEY,
        name varchar,
        path varchar NOT NULL,
        namespace_id bigint NOT NULL REFERENCES namespaces ON DELETE CASCADE,
        creator_id bigint REFERENCES users ON DELETE SET NULL,
        visibility_level integer DEFAULT 0 NOT NULL,
        archived boolean DEFAULT false NOT NULL);
    CREATE UNIQUE INDEX index_projects_on_namespace_id_and_path ON projects (namespace_id, path);
    CREATE TABLE issues (
        id bigserial PRIMARY KEY,
        project_id bigint NOT NULL REFERENCES projects ON DELETE CASCADE,
        iid integer NOT NULL,
        title varchar,
        description text,
        author_id bigint REFERENCES users ON DELETE SET NULL,
        state_id smallint DEFAULT 1 NOT NULL CHECK (state_id IN (1, 2)),
        created_at timestamptz);
    CREATE UNIQUE INDEX index_issues_on_project_id_and_iid ON issues (project_id, iid);
    CREATE TABLE issue_assignees (
        user_id bigint NOT NULL REFERENCES users ON DELETE CASCADE,
        issue_id bigint NOT NULL REFERENCES issues ON DELETE CASCADE,
        PRIMARY KEY (issue_id, user_id));
    CREATE TABLE labels (
        id bigserial PRIMARY KEY,
        title varchar NOT NULL,
        color varchar DEFAULT '#cccccc' NOT NULL,
        project_id bigint REFERENCES projects ON DELETE CASCADE,
        group_id bigint REFERENCES namespaces ON DELETE CASCADE,
        CONSTRAINT check_label_parent CHECK (num_nonnulls(project_id, group_id) = 1));
    CREATE UNIQUE INDEX index_labels_on_project_id_and_title ON labels (project_id, title) WHERE group_id IS NULL;
    CREATE UNIQUE INDEX index_labels_on_group_id_and_title ON labels (group_id, title) WHERE project_id IS NULL;
    CREATE SEQUENCE audit_events_id_seq;
    CREATE TABLE audit_events (
        id bigint NOT NULL DEFAULT nextval('audit_events_id_seq'),
        author_id bigint NOT NULL REFERENCES users,
        details jsonb,
        created_at timestamp NOT NULL,
        PRIMARY KEY (id, created_at)) PARTITION BY RANGE (created_at);
    CREATE SEQUENCE ci_builds_id_seq;
    CREATE TABLE p_ci_builds (
        id bigint NOT NULL DEFAULT nextval('ci_builds_id_seq'),
        partition_id bigint NOT NULL,
        project_id bigint NOT NULL REFERENCES projects,
        name varchar NOT NULL,
        status varchar,
        finished_at timestamp,
        PRIMARY KEY (id, partition_id)) PARTITION BY LIST (partition_id);
    CREATE INDEX p_ci_builds_status ON p_ci_builds (status) WHERE finished_at IS NULL;
    -- One sequence for jobs and what they leave behind
    CREATE TABLE p_ci_job_artifacts (
        id bigint NOT NULL DEFAULT nextval('ci_builds_id_seq'),
        partition_id bigint NOT NULL,
        job_id bigint NOT NULL,
        file_type smallint NOT NULL,
        file text,
        PRIMARY KEY (id, partition_id),
        UNIQUE (job_id, file_type, partition_id),
        FOREIGN KEY (partition_id, job_id) REFERENCES p_ci_builds (partition_id, id) ON UPDATE CASCADE ON DELETE CASCADE
    ) PARTITION BY LIST (partition_id);
$ddl$, $source$
    CREATE TABLE audit_events_202401 PARTITION OF audit_events FOR VALUES FROM ('2024-01-01') TO ('2024-02-01');
    CREATE TABLE audit_events_202402 PARTITION OF audit_events FOR VALUES FROM ('2024-02-01') TO ('2024-03-01');
    CREATE TABLE ci_builds_100 PARTITION OF p_ci_builds FOR VALUES IN (100);
    CREATE TABLE ci_builds_101 PARTITION OF p_ci_builds FOR VALUES IN (101);
    CREATE TABLE ci_job_artifacts PARTITION OF p_ci_job_artifacts FOR VALUES IN (100, 101);
    INSERT INTO users (username, email, state) VALUES
        ('root', 'root@a.example', 'active'), ('ada', 'ada@example.org', 'active'), ('ben', 'ben@example.org', 'blocked');
    INSERT INTO namespaces (name, path, type, owner_id, parent_id) VALUES
        ('Acme', 'acme', 'Group', NULL, NULL), ('Tools', 'tools', 'Group', NULL, 1), ('Internal', 'internal', 'Group', NULL, 2),
        ('ada', 'ada', 'User', 2, NULL), ('Tools', 'tools', 'Group', NULL, NULL);
    UPDATE namespaces SET traversal_ids = CASE id WHEN 2 THEN '{1,2}' WHEN 3 THEN '{1,2,3}' ELSE ARRAY[id] END;
    INSERT INTO projects (name, path, namespace_id, creator_id) VALUES
        ('Saw', 'saw', 2, 2), ('Glue', 'glue', 3, 3), ('Saw', 'saw', 4, 2);
    INSERT INTO issues (project_id, iid, title, author_id, created_at) VALUES
        (1, 1, 'Blunt', 2, '2024-01-01'), (1, 2, 'Too loud', 3, '2024-01-02'), (2, 1, 'Sticky', 3, '2024-01-03');
    INSERT INTO issue_assignees VALUES (2, 1), (3, 1), (3, 2);
    INSERT INTO labels (title, color, project_id, group_id) VALUES
        ('bug', '#ff0000', 1, NULL), ('bug', '#ee0000', NULL, 1), ('docs', '#00ff00', NULL, 2);
    INSERT INTO audit_events (author_id, details, created_at) VALUES
        (1, '{"add": "user"}', '2024-01-15'), (2, '{"change": "visibility", "to": 20}', '2024-02-15');
    INSERT INTO p_ci_builds (partition_id, project_id, name, status, finished_at) VALUES
        (100, 1, 'test', 'success', '2024-01-01 10:00'), (101, 1, 'test', 'failed', '2024-02-01 10:00'), (101, 2, 'lint', 'running', NULL);
    INSERT INTO p_ci_job_artifacts (partition_id, job_id, file_type, file) VALUES
        (100, 1, 1, 'log'), (101, 2, 1, 'log'), (101, 2, 2, 'junit.xml');
$source$, $destination$
    CREATE TABLE audit_events_2024 PARTITION OF audit_events FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
    CREATE TABLE ci_builds_all PARTITION OF p_ci_builds DEFAULT;
    CREATE TABLE ci_job_artifacts_100 PARTITION OF p_ci_job_artifacts FOR VALUES IN (100);
    CREATE TABLE ci_job_artifacts_101 PARTITION OF p_ci_job_artifacts FOR VALUES IN (101);
    INSERT INTO users (username, email, state) VALUES
        ('root', 'root@b.example', 'active'), ('cid', 'cid@example.org', 'active'), ('ada', 'ada@example.org', 'active');
    INSERT INTO namespaces (name, path, type, owner_id, parent_id) VALUES
        ('cid', 'cid', 'User', 2, NULL), ('ACME Inc.', 'Acme', 'Group', NULL, NULL), ('Tools', 'tools', 'Group', NULL, 2);
    UPDATE namespaces SET traversal_ids = CASE id WHEN 3 THEN '{2,3}' ELSE ARRAY[id] END;
    INSERT INTO projects (name, path, namespace_id, creator_id, visibility_level) VALUES
        ('Dotfiles', 'dotfiles', 1, 2, 20), ('Saw', 'saw', 3, 3, 0);
    INSERT INTO issues (project_id, iid, title, author_id, created_at) VALUES (2, 1, 'Blunt', 3, '2024-01-01');
    INSERT INTO issue_assignees VALUES (3, 1);
    INSERT INTO labels (title, color, project_id, group_id) VALUES ('bug', '#ff0000', NULL, 2), ('bug', '#ff0000', 2, NULL);
    INSERT INTO audit_events (author_id, details, created_at) VALUES (1, '{"add": "user"}', '2024-01-15'), (2, NULL, '2024-03-01');
    INSERT INTO p_ci_builds (partition_id, project_id, name, status, finished_at) VALUES
        (102, 1, 'test', 'success', '2024-03-01'), (100, 2, 'test', 'success', '2024-01-01 10:00');
    INSERT INTO p_ci_job_artifacts (partition_id, job_id, file_type, file) VALUES (100, 2, 1, 'log');
$destination$);

-- In both: root, ada; Acme, its tools; their saw; its first issue, and ada who
-- works on it; both bugs; an event; a job and its log.  Conflicts: where root reads mail;
-- name, path and way of Acme, the way of its tools; the color of its bugs.
SELECT merges('GitLab', '12 in both, 16 copied, 6 conflicts', $$
    WITH RECURSIVE way AS (
        SELECT id, path::text AS way FROM b.namespaces WHERE parent_id IS NULL
        UNION ALL SELECT n.id, way || '/' || n.path FROM way w JOIN b.namespaces n ON n.parent_id = w.id)
    SELECT way, n.name, n.type, u.username, n.factmerge_provenance,
        ARRAY(SELECT p.path || ': ' || p.factmerge_provenance FROM b.projects p WHERE p.namespace_id = n.id ORDER BY 1) AS projects
    FROM way JOIN b.namespaces n USING (id) LEFT JOIN b.users u ON u.id = owner_id ORDER BY way$$, $$
    (Acme,"ACME Inc.",Group,,both,{})
    (Acme/tools,Tools,Group,,both,"{""saw: both""}")
    (Acme/tools/internal,Internal,Group,,source,"{""glue: source""}")
    (ada,ada,User,ada,source,"{""saw: source""}")
    (cid,cid,User,cid,destination,"{""dotfiles: destination""}")
    (tools,Tools,Group,,source,{})$$);
SELECT bag_eq(
    $$SELECT p.path, iid, title, u.username, i.factmerge_provenance::text,
          ARRAY(SELECT s.username || ': ' || x.factmerge_provenance FROM b.issue_assignees x JOIN b.users s ON s.id = user_id
                WHERE issue_id = i.id ORDER BY 1)
      FROM b.issues i JOIN b.projects p ON p.id = project_id JOIN b.users u ON u.id = author_id$$,
    $$VALUES ('saw'::varchar, 1, 'Blunt'::varchar, 'ada'::varchar, 'both', '{ada: both,ben: source}'::text[]),
             ('saw', 2, 'Too loud', 'ben', 'source', '{ben: source}'), ('glue', 1, 'Sticky', 'ben', 'source', '{}')$$,
    'issues keep their numbers in their projects, and whoever works on them');
SELECT bag_eq(
    $$SELECT title, color, p.path AS project, n.path AS "group", l.factmerge_provenance::text
      FROM b.labels l LEFT JOIN b.projects p ON p.id = project_id LEFT JOIN b.namespaces n ON n.id = group_id$$,
    $$VALUES ('bug'::varchar, '#ff0000'::varchar, 'saw'::varchar, NULL::varchar, 'both'), ('bug', '#ff0000', NULL, 'Acme', 'both'),
             ('docs', '#00ff00', NULL, 'tools', 'source')$$, 'a label belongs to its project or group');
SELECT bag_eq(
    $$SELECT a.tableoid::regclass::text AS part, username, details, a.created_at::date, a.factmerge_provenance::text
      FROM b.audit_events a JOIN b.users u ON u.id = author_id$$,
    $$VALUES ('b.audit_events_2024', 'root'::varchar, '{"add": "user"}'::jsonb, '2024-01-15'::date, 'both'),
             ('b.audit_events_2024', 'ada', '{"change": "visibility", "to": 20}', '2024-02-15', 'source'),
             ('b.audit_events_2024', 'cid', NULL, '2024-03-01', 'destination')$$, 'events get from partitions by month to one by year');
-- A job that has not finished is known by nothing
SELECT bag_eq(
    $$SELECT partition_id, p.path, b.name, status, b.factmerge_provenance::text,
          ARRAY(SELECT file || ': ' || x.factmerge_provenance || ' in ' || x.tableoid::regclass FROM b.p_ci_job_artifacts x
                WHERE (x.partition_id, job_id) = (b.partition_id, b.id) ORDER BY 1)
      FROM b.p_ci_builds b JOIN b.projects p ON p.id = project_id$$,
    $$VALUES (102::bigint, 'dotfiles'::varchar, 'test'::varchar, 'success'::varchar, 'destination', '{}'::text[]),
             (100, 'saw', 'test', 'success', 'both', '{log: both in b.ci_job_artifacts_100}'),
             (101, 'saw', 'test', 'failed', 'source', '{junit.xml: source in b.ci_job_artifacts_101,log: source in b.ci_job_artifacts_101}'),
             (101, 'glue', 'lint', 'running', 'source', '{}')$$,
    'jobs and artifacts find each other by references of two columns, between partitioned tables');
SELECT results_eq('SELECT count(*), count(DISTINCT id) FROM (SELECT id FROM b.p_ci_builds UNION ALL SELECT id FROM b.p_ci_job_artifacts) x',
    'VALUES (7::bigint, 7::bigint)', 'a sequence that two tables share has drawn no number twice');
SELECT bag_eq(
    $$SELECT fact_table::text, column_name::text, source_value, destination_value FROM factmerge_conflicts((SELECT max(merge_id) FROM factmerge.merge WHERE conflicts > 0))$$,
    $$VALUES ('b.users', 'email', 'root@a.example', 'root@b.example'), ('b.namespaces', 'name', 'Acme', 'ACME Inc.'),
             ('b.namespaces', 'path', 'acme', 'Acme'), ('b.namespaces', 'traversal_ids', '{1}', '{2}'),
             ('b.namespaces', 'traversal_ids', '{1,2}', '{2,3}'), ('b.labels', 'color', '#ee0000', '#ff0000')$$,
    'what differs is listed; ids in an array are values to the database');

-- The ways from the root are the application's to mend, as it does when a group is moved
WITH RECURSIVE way AS (
    SELECT id, ARRAY[id] AS way FROM b.namespaces WHERE parent_id IS NULL
    UNION ALL SELECT n.id, way || n.id FROM way w JOIN b.namespaces n ON n.parent_id = w.id)
UPDATE b.namespaces n SET traversal_ids = way FROM way w WHERE w.id = n.id AND traversal_ids <> way;
SELECT bag_eq(
    $$SELECT path FROM b.namespaces WHERE traversal_ids @> ARRAY(SELECT id FROM b.namespaces WHERE path = 'Acme')$$,
    $$VALUES ('Acme'::varchar), ('tools'), ('internal')$$, 'ways from the root can be made anew');
SELECT results_eq($$SELECT copied FROM factmerge_merge('a', 'b')$$, 'VALUES (0::bigint)', '... without harm to later merges');

SELECT works_on('GitLab', $$
    INSERT INTO users (username, state) VALUES ('new', 'active');
    INSERT INTO namespaces (name, path, owner_id) SELECT 'New', 'new', max(id) FROM users;
    INSERT INTO projects (path, namespace_id) SELECT 'new', max(id) FROM namespaces;
    INSERT INTO issues (project_id, iid, title) SELECT max(id), 1, 'New' FROM projects;
    INSERT INTO labels (title, project_id) SELECT 'new', max(id) FROM projects;
    INSERT INTO audit_events (author_id, created_at) SELECT max(id), '2024-12-12' FROM users;
    INSERT INTO p_ci_builds (partition_id, project_id, name) SELECT 101, max(id), 'new' FROM projects;
    INSERT INTO p_ci_job_artifacts (partition_id, job_id, file_type) SELECT 101, max(id), 1 FROM p_ci_builds$$);

-- Two different issues under one number are the same issue to the database, and
-- the preview is where to see it
INSERT INTO b.issues (project_id, iid, title) SELECT project_id, 3, 'Squeaks' FROM b.issues WHERE iid = 2;
INSERT INTO a.issues (project_id, iid, title) VALUES (1, 3, 'Wobbles');
SELECT results_eq(
    $$SELECT source_fact ->> 'title', destination_fact ->> 'title'
      FROM factmerge_preview('a', 'b') WHERE fact_table = 'issues' AND outcome = 'conflict'$$,
    $$VALUES ('Wobbles', 'Squeaks')$$, 'numbers that were given twice show in a preview');
-- ... and a partition that the destination lacks ends the merge
INSERT INTO a.audit_events_202402 (author_id, created_at) VALUES (1, '2024-02-20');
DROP TABLE b.audit_events_2024;
SELECT refuses('GitLab without a partition for an event', '23514', 'audit_events', false);

SELECT * FROM finish();
ROLLBACK;
