-- What makes a PostgreSQL server look like an instance of Picodata; read by the tests in Rust and by
-- bindings/testing.
BEGIN;
CREATE TABLE _pico_instance (
    name text PRIMARY KEY,
    uuid text NOT NULL UNIQUE,
    raft_id bigint NOT NULL UNIQUE,
    replicaset_name text NOT NULL,
    replicaset_uuid text NOT NULL,
    current_state json NOT NULL,
    target_state json NOT NULL,
    failure_domain json NOT NULL,
    tier text NOT NULL,
    picodata_version text NOT NULL
);
CREATE TABLE _pico_peer_address (
    raft_id bigint NOT NULL,
    address text NOT NULL,
    connection_type text NOT NULL,
    PRIMARY KEY (raft_id, connection_type)
);
CREATE TABLE _pico_replicaset (
    name text PRIMARY KEY,
    uuid text NOT NULL UNIQUE,
    current_master_name text NOT NULL,
    target_master_name text NOT NULL,
    tier text NOT NULL,
    weight double precision NOT NULL,
    weight_origin text NOT NULL,
    state text NOT NULL
);
CREATE TABLE _pico_tier (
    name text PRIMARY KEY,
    replication_factor bigint NOT NULL,
    can_vote boolean NOT NULL,
    bucket_count bigint NOT NULL
);
-- What the functions answer on this server.
CREATE TABLE pico_standing (
    instance_uuid text NOT NULL,
    leader_id bigint NOT NULL,
    leader_uuid text NOT NULL
);
GRANT SELECT ON _pico_instance, _pico_peer_address, _pico_replicaset, pico_standing TO PUBLIC;

CREATE FUNCTION pico_raft_leader_id() RETURNS bigint LANGUAGE sql AS
    'SELECT leader_id FROM pico_standing';
CREATE FUNCTION pico_instance_uuid() RETURNS text LANGUAGE sql AS
    'SELECT instance_uuid FROM pico_standing';
CREATE FUNCTION pico_raft_leader_uuid() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    found text;
BEGIN
    SELECT leader_uuid INTO found FROM pico_standing;
    IF found = '' THEN
        RAISE EXCEPTION 'sbroad: instance with raft_id 0 not found' USING ERRCODE = 'XX000';
    END IF;
    RETURN found;
END $$;
CREATE FUNCTION pico_instance_name(wanted text) RETURNS text LANGUAGE sql AS
    'SELECT name FROM _pico_instance WHERE uuid = wanted';
CREATE FUNCTION pico_replicaset_name(wanted text) RETURNS text LANGUAGE sql AS
    'SELECT replicaset_name FROM _pico_instance WHERE uuid = wanted';
CREATE FUNCTION pico_tier_name(wanted text) RETURNS text LANGUAGE sql AS
    'SELECT tier FROM _pico_instance WHERE uuid = wanted';
CREATE FUNCTION _pico_bucket(wanted text) RETURNS json LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    count bigint;
BEGIN
    SELECT bucket_count INTO count FROM _pico_tier WHERE name = wanted;
    IF count IS NULL THEN
        RAISE EXCEPTION 'sbroad: _pico_bucket: tier ''%'' doesn''t exist', wanted USING ERRCODE = 'XX000';
    END IF;
    RETURN (
        SELECT json_agg(json_build_object(
            'bucket_id_start', count * place / total + 1,
            'target_replicaset_uuid', uuid,
            'tier_name', wanted,
            'state', 'active',
            'bucket_id_end', count * (place + 1) / total,
            'current_replicaset_uuid', uuid) ORDER BY place)
        FROM (
            SELECT uuid, row_number() OVER (ORDER BY name) - 1 AS place, count(*) OVER () AS total
            FROM _pico_replicaset WHERE tier = wanted
        ) AS sets
    );
END $$;
COMMIT;
