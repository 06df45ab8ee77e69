"""The C interface for ctypes. Written by tools/declare.py from include/quorate.h: change neither by hand."""

from __future__ import annotations

import ctypes
from ctypes import CFUNCTYPE, POINTER, c_bool, c_char_p, c_double, c_int32, c_int64, c_size_t, c_uint8, c_uint32, c_uint64
from ctypes import c_void_p
from typing import Any

TIMEOUT_DEFAULT = -1
TIMEOUT_NONE = 2**63 - 1
VERSION_MAJOR = 0
VERSION_MINOR = 1
VERSION_PATCH = 0
NUL_TERMINATED = 2 ** (8 * ctypes.sizeof(c_size_t)) - 1

EVENT_KIND_LEADER = 1
EVENT_KIND_NODES = 2
EVENT_KIND_INSTANCE_CAME = 3
EVENT_KIND_INSTANCE_WENT = 4
EVENT_KIND_INSTANCE_MOVED = 5
EVENT_KIND_INSTANCE_STATE = 6
EVENT_KIND_INSTANCE_ROLE = 7

FIELD_SEVERITY = 1
FIELD_POSITION = 2
FIELD_INTERNAL_POSITION = 3
FIELD_INTERNAL_QUERY = 4
FIELD_WHERE = 5
FIELD_SCHEMA = 6
FIELD_TABLE = 7
FIELD_COLUMN = 8
FIELD_DATA_TYPE = 9
FIELD_CONSTRAINT = 10
FIELD_FILE = 11
FIELD_LINE = 12
FIELD_ROUTINE = 13

LOG_LEVEL_ERROR = 1
LOG_LEVEL_WARN = 2
LOG_LEVEL_INFO = 3
LOG_LEVEL_DEBUG = 4

NODE_ROLE_VOTER = 0
NODE_ROLE_STAND_BY = 1
NODE_ROLE_SPARE = 2

OUTCOME_NOT_SENT = 0
OUTCOME_REJECTED = 1
OUTCOME_UNKNOWN = 2

STAT_MAX_CONNS = 0
STAT_CONNECTIONS = 1
STAT_IDLE = 2
STAT_IN_USE = 3
STAT_WAITING = 4
STAT_ACQUIRES = 5
STAT_WAITS = 6
STAT_WAIT_NANOSECONDS = 7
STAT_CONNECTS = 8
STAT_CONNECT_FAILURES = 9
STAT_FAILURES = 10
STAT_LEADER_CHANGES = 11
STAT_REFRESHES = 12
STAT_REFRESH_FAILURES = 13
STAT_TOPOLOGY_AGE_MILLISECONDS = 14
STAT_TOPOLOGY_FAILING = 15
STAT_INSTANCES = 16
STAT_USABLE_INSTANCES = 17

STATUS_OK = 0
STATUS_CONFIG = 1
STATUS_MISUSE = 2
STATUS_CONVERSION = 3
STATUS_NO_ROWS = 4
STATUS_CLOSED = 5
STATUS_TIMEOUT = 6
STATUS_POOL_TIMEOUT = 7
STATUS_CANCELLED = 8
STATUS_CONNECT = 9
STATUS_TLS = 10
STATUS_AUTHENTICATION = 11
STATUS_NO_LEADER = 12
STATUS_NOT_LEADER = 13
STATUS_DISCONNECTED = 14
STATUS_PROTOCOL = 15
STATUS_BUSY = 16
STATUS_CONSTRAINT = 17
STATUS_DATABASE = 18
STATUS_UNSUPPORTED = 19
STATUS_STORE = 20
STATUS_NODE = 21
STATUS_FORKED = 22
STATUS_INTERNAL = 23
STATUS_NULL_POINTER = 100
STATUS_BUFFER_TOO_SMALL = 101

TRANSACTION_MODE_DEFERRED = 0
TRANSACTION_MODE_IMMEDIATE = 1
TRANSACTION_MODE_EXCLUSIVE = 2

TYPE_NULL = 0
TYPE_BOOL = 1
TYPE_INT64 = 2
TYPE_DOUBLE = 3
TYPE_TEXT = 4
TYPE_BLOB = 5
TYPE_TIMESTAMP = 6
TYPE_DATE = 7
TYPE_UUID = 8
TYPE_DECIMAL = 9
TYPE_JSON = 10


class Bytes(ctypes.Structure):
    _fields_ = [
        ("pointer", c_char_p),
        ("length", c_size_t),
    ]


class Event(ctypes.Structure):
    _fields_ = [
        ("size", c_size_t),
        ("kind", c_int32),
        ("is_master", c_bool),
        ("is_leader", c_bool),
        ("count", c_uint64),
        ("address", Bytes),
        ("name", Bytes),
        ("uuid", Bytes),
        ("replicaset", Bytes),
        ("tier", Bytes),
        ("state", Bytes),
        ("before", Bytes),
    ]


class Candidate(ctypes.Structure):
    _fields_ = [
        ("address", Bytes),
        ("name", Bytes),
        ("uuid", Bytes),
        ("replicaset", Bytes),
        ("tier", Bytes),
        ("latency_us", c_int64),
        ("in_use", c_uint32),
        ("max_conns", c_uint32),
        ("is_master", c_bool),
        ("is_leader", c_bool),
        ("reserved", c_uint64 * 4),
    ]


class Timestamp(ctypes.Structure):
    _fields_ = [
        ("seconds", c_int64),
        ("nanoseconds", c_uint32),
        ("utc_offset", c_int32),
    ]


class ValueData(ctypes.Union):
    _anonymous_ = ('bytes', 'timestamp')
    _fields_ = [
        ("integer", c_int64),
        ("real", c_double),
        ("bytes", Bytes),
        ("timestamp", Timestamp),
        ("uuid", c_uint8 * 16),
    ]


class Value(ctypes.Structure):
    _anonymous_ = ('data',)
    _fields_ = [
        ("kind", c_int32),
        ("name_length", c_uint32),
        ("name", c_char_p),
        ("data", ValueData),
    ]


class Result(ctypes.Structure):
    _fields_ = [
        ("last_insert_id", c_int64),
        ("rows_affected", c_uint64),
    ]


class Endpoint(ctypes.Structure):
    _fields_ = [
        ("size", c_size_t),
        ("address", Bytes),
        ("connections", c_uint32),
        ("idle", c_uint32),
        ("in_use", c_uint32),
        ("waiting", c_uint32),
        ("latency_us", c_int64),
        ("left_out", c_bool),
    ]


class Column(ctypes.Structure):
    _fields_ = [
        ("kind", c_int32),
        ("values", c_void_p),
        ("offsets", POINTER(c_size_t)),
        ("bytes", c_void_p),
        ("bytes_capacity", c_size_t),
        ("bytes_needed", c_size_t),
        ("validity", c_void_p),
        ("null_count", c_size_t),
    ]


class ValueBuffer(ctypes.Structure):
    _fields_ = [
        ("values", POINTER(Value)),
        ("bytes", c_void_p),
        ("bytes_capacity", c_size_t),
        ("bytes_used", c_size_t),
        ("bytes_needed", c_size_t),
    ]


LogFn = CFUNCTYPE(None, c_void_p, c_int32, c_void_p, c_size_t)


DestroyFn = CFUNCTYPE(None, c_void_p)


DialFn = CFUNCTYPE(c_int32, c_void_p, c_void_p, c_size_t, c_int64)


EventFn = CFUNCTYPE(None, c_void_p, POINTER(Event))


BalanceFn = CFUNCTYPE(c_size_t, c_void_p, POINTER(Candidate), c_size_t)


InterruptFn = CFUNCTYPE(c_bool, c_void_p)


StoreGetFn = CFUNCTYPE(c_int32, c_void_p, c_void_p)


StoreSetFn = CFUNCTYPE(c_int32, c_void_p, c_void_p)


# Of each function: what it answers, and what it takes.
FUNCTIONS: dict[str, tuple[Any, list[Any]]] = {
    "quorate_status_text": (c_void_p, [c_int32]),
    "quorate_error_status": (c_int32, [c_void_p]),
    "quorate_error_outcome": (c_int32, [c_void_p]),
    "quorate_error_is_retryable": (c_bool, [c_void_p]),
    "quorate_error_code": (c_bool, [c_void_p, POINTER(c_int32)]),
    "quorate_error_text": (c_void_p, [c_void_p, POINTER(c_size_t)]),
    "quorate_error_message": (c_void_p, [c_void_p, POINTER(c_size_t)]),
    "quorate_error_detail": (c_void_p, [c_void_p, POINTER(c_size_t)]),
    "quorate_error_hint": (c_void_p, [c_void_p, POINTER(c_size_t)]),
    "quorate_error_sqlstate": (c_void_p, [c_void_p, POINTER(c_size_t)]),
    "quorate_error_field": (c_void_p, [c_void_p, c_int32, POINTER(c_size_t)]),
    "quorate_error_node": (c_void_p, [c_void_p, POINTER(c_size_t)]),
    "quorate_error_causes": (c_size_t, [c_void_p]),
    "quorate_error_cause_node": (c_void_p, [c_void_p, c_size_t, POINTER(c_size_t)]),
    "quorate_error_cause": (c_void_p, [c_void_p, c_size_t]),
    "quorate_error_free": (None, [c_void_p]),
    "quorate_config_new": (c_int32, [c_char_p, c_size_t, POINTER(c_void_p), POINTER(c_void_p)]),
    "quorate_config_set": (c_int32, [c_void_p, c_char_p, c_size_t, c_char_p, c_size_t, POINTER(c_void_p)]),
    "quorate_config_set_store": (c_int32, [c_void_p, c_void_p, POINTER(c_void_p)]),
    "quorate_config_set_log": (c_int32, [c_void_p, LogFn, c_void_p, DestroyFn, POINTER(c_void_p)]),
    "quorate_config_set_dial": (c_int32, [c_void_p, DialFn, c_void_p, DestroyFn, POINTER(c_void_p)]),
    "quorate_config_get": (c_int32, [c_void_p, c_char_p, c_size_t, POINTER(c_void_p), POINTER(c_void_p)]),
    "quorate_config_name": (c_int32, [c_void_p, POINTER(c_void_p), POINTER(c_void_p)]),
    "quorate_config_copy": (c_int32, [c_void_p, POINTER(c_void_p), POINTER(c_void_p)]),
    "quorate_config_free": (None, [c_void_p]),
    "quorate_config_set_event": (c_int32, [c_void_p, EventFn, c_void_p, DestroyFn, POINTER(c_void_p)]),
    "quorate_config_set_balance": (c_int32, [c_void_p, BalanceFn, c_void_p, DestroyFn, POINTER(c_void_p)]),
    "quorate_pool_open": (c_int32, [c_char_p, c_size_t, POINTER(c_void_p), POINTER(c_void_p)]),
    "quorate_pool_open_config": (c_int32, [c_void_p, POINTER(c_void_p), POINTER(c_void_p)]),
    "quorate_pool_clone": (c_int32, [c_void_p, POINTER(c_void_p), POINTER(c_void_p)]),
    "quorate_pool_exec": (c_int32, [c_void_p, c_char_p, c_size_t, POINTER(Value), c_size_t, c_int64, c_void_p, POINTER(Result), POINTER(c_void_p)]),
    "quorate_pool_query": (c_int32, [c_void_p, c_char_p, c_size_t, POINTER(Value), c_size_t, c_int64, c_void_p, POINTER(c_void_p), POINTER(c_void_p)]),
    "quorate_pool_send_batch": (c_int32, [c_void_p, c_void_p, c_int64, c_void_p, POINTER(c_void_p), POINTER(c_void_p)]),
    "quorate_pool_begin": (c_int32, [c_void_p, c_int32, c_int64, c_void_p, POINTER(c_void_p), POINTER(c_void_p)]),
    "quorate_pool_acquire": (c_int32, [c_void_p, c_int64, c_void_p, POINTER(c_void_p), POINTER(c_void_p)]),
    "quorate_pool_ping": (c_int32, [c_void_p, c_int64, c_void_p, POINTER(c_void_p)]),
    "quorate_pool_reset": (c_int32, [c_void_p, POINTER(c_void_p)]),
    "quorate_pool_stat": (c_int32, [c_void_p, c_int32, POINTER(c_uint64), POINTER(c_void_p)]),
    "quorate_pool_close": (c_int32, [c_void_p, c_int64, POINTER(c_void_p)]),
    "quorate_pool_free": (None, [c_void_p]),
    "quorate_pool_endpoints": (c_int32, [c_void_p, POINTER(c_void_p), POINTER(c_void_p)]),
    "quorate_endpoints_len": (c_size_t, [c_void_p]),
    "quorate_endpoints_get": (POINTER(Endpoint), [c_void_p, c_size_t]),
    "quorate_endpoints_free": (None, [c_void_p]),
    "quorate_connection_exec": (c_int32, [c_void_p, c_char_p, c_size_t, POINTER(Value), c_size_t, c_int64, c_void_p, POINTER(Result), POINTER(c_void_p)]),
    "quorate_connection_query": (c_int32, [c_void_p, c_char_p, c_size_t, POINTER(Value), c_size_t, c_int64, c_void_p, POINTER(c_void_p), POINTER(c_void_p)]),
    "quorate_connection_send_batch": (c_int32, [c_void_p, c_void_p, c_int64, c_void_p, POINTER(c_void_p), POINTER(c_void_p)]),
    "quorate_connection_prepare": (c_int32, [c_void_p, c_char_p, c_size_t, c_int64, c_void_p, POINTER(c_void_p), POINTER(c_void_p)]),
    "quorate_connection_begin": (c_int32, [c_void_p, c_int32, c_int64, c_void_p, POINTER(c_void_p), POINTER(c_void_p)]),
    "quorate_connection_ping": (c_int32, [c_void_p, c_int64, c_void_p, POINTER(c_void_p)]),
    "quorate_connection_cancel_handle": (c_int32, [c_void_p, POINTER(c_void_p), POINTER(c_void_p)]),
    "quorate_connection_node": (c_int32, [c_void_p, POINTER(c_void_p), POINTER(c_void_p)]),
    "quorate_connection_in_transaction": (c_int32, [c_void_p, POINTER(c_bool), POINTER(c_void_p)]),
    "quorate_connection_close": (c_int32, [c_void_p, POINTER(c_void_p)]),
    "quorate_connection_is_open": (c_bool, [c_void_p]),
    "quorate_connection_free": (None, [c_void_p]),
    "quorate_pool_sharding_key": (c_int32, [c_void_p, c_char_p, c_size_t, c_int64, c_void_p, POINTER(c_void_p), POINTER(c_void_p)]),
    "quorate_sharding_key_table": (c_void_p, [c_void_p, POINTER(c_size_t)]),
    "quorate_sharding_key_tier": (c_void_p, [c_void_p, POINTER(c_size_t)]),
    "quorate_sharding_key_columns": (c_size_t, [c_void_p]),
    "quorate_sharding_key_column_name": (c_void_p, [c_void_p, c_size_t, POINTER(c_size_t)]),
    "quorate_sharding_key_bucket": (c_int32, [c_void_p, POINTER(Value), c_size_t, POINTER(c_uint64), POINTER(c_void_p)]),
    "quorate_sharding_key_acquire": (c_int32, [c_void_p, POINTER(Value), c_size_t, c_int64, c_void_p, POINTER(c_void_p), POINTER(c_void_p)]),
    "quorate_sharding_key_clone": (c_int32, [c_void_p, POINTER(c_void_p), POINTER(c_void_p)]),
    "quorate_sharding_key_free": (None, [c_void_p]),
    "quorate_transaction_exec": (c_int32, [c_void_p, c_char_p, c_size_t, POINTER(Value), c_size_t, c_int64, c_void_p, POINTER(Result), POINTER(c_void_p)]),
    "quorate_transaction_query": (c_int32, [c_void_p, c_char_p, c_size_t, POINTER(Value), c_size_t, c_int64, c_void_p, POINTER(c_void_p), POINTER(c_void_p)]),
    "quorate_transaction_send_batch": (c_int32, [c_void_p, c_void_p, c_int64, c_void_p, POINTER(c_void_p), POINTER(c_void_p)]),
    "quorate_transaction_commit": (c_int32, [c_void_p, c_int64, c_void_p, POINTER(c_void_p)]),
    "quorate_transaction_rollback": (c_int32, [c_void_p, c_int64, c_void_p, POINTER(c_void_p)]),
    "quorate_transaction_savepoint": (c_int32, [c_void_p, c_int64, c_void_p, POINTER(c_void_p)]),
    "quorate_transaction_release": (c_int32, [c_void_p, c_int64, c_void_p, POINTER(c_void_p)]),
    "quorate_transaction_undo": (c_int32, [c_void_p, c_int64, c_void_p, POINTER(c_void_p)]),
    "quorate_transaction_connection": (c_int32, [c_void_p, POINTER(c_void_p), POINTER(c_void_p)]),
    "quorate_transaction_free": (None, [c_void_p]),
    "quorate_statement_sql": (c_void_p, [c_void_p, POINTER(c_size_t)]),
    "quorate_statement_parameters": (c_size_t, [c_void_p]),
    "quorate_statement_exec": (c_int32, [c_void_p, c_void_p, POINTER(Value), c_size_t, c_int64, c_void_p, POINTER(Result), POINTER(c_void_p)]),
    "quorate_statement_query": (c_int32, [c_void_p, c_void_p, POINTER(Value), c_size_t, c_int64, c_void_p, POINTER(c_void_p), POINTER(c_void_p)]),
    "quorate_statement_clone": (c_int32, [c_void_p, POINTER(c_void_p), POINTER(c_void_p)]),
    "quorate_statement_free": (None, [c_void_p]),
    "quorate_params_new": (c_int32, [POINTER(c_void_p), POINTER(c_void_p)]),
    "quorate_params_add_null": (c_int32, [c_void_p, c_char_p, c_size_t, POINTER(c_void_p)]),
    "quorate_params_add_bool": (c_int32, [c_void_p, c_char_p, c_size_t, c_bool, POINTER(c_void_p)]),
    "quorate_params_add_int64": (c_int32, [c_void_p, c_char_p, c_size_t, c_int64, POINTER(c_void_p)]),
    "quorate_params_add_double": (c_int32, [c_void_p, c_char_p, c_size_t, c_double, POINTER(c_void_p)]),
    "quorate_params_add_text": (c_int32, [c_void_p, c_char_p, c_size_t, c_char_p, c_size_t, POINTER(c_void_p)]),
    "quorate_params_add_blob": (c_int32, [c_void_p, c_char_p, c_size_t, c_void_p, c_size_t, POINTER(c_void_p)]),
    "quorate_params_add_timestamp": (c_int32, [c_void_p, c_char_p, c_size_t, Timestamp, POINTER(c_void_p)]),
    "quorate_params_add_date": (c_int32, [c_void_p, c_char_p, c_size_t, c_int64, POINTER(c_void_p)]),
    "quorate_params_add_uuid": (c_int32, [c_void_p, c_char_p, c_size_t, c_void_p, POINTER(c_void_p)]),
    "quorate_params_add_decimal": (c_int32, [c_void_p, c_char_p, c_size_t, c_char_p, c_size_t, POINTER(c_void_p)]),
    "quorate_params_add_json": (c_int32, [c_void_p, c_char_p, c_size_t, c_char_p, c_size_t, POINTER(c_void_p)]),
    "quorate_params_values": (POINTER(Value), [c_void_p, POINTER(c_size_t)]),
    "quorate_params_clear": (c_int32, [c_void_p, POINTER(c_void_p)]),
    "quorate_params_free": (None, [c_void_p]),
    "quorate_rows_columns": (c_size_t, [c_void_p]),
    "quorate_rows_result": (c_int32, [c_void_p, POINTER(Result), POINTER(c_void_p)]),
    "quorate_rows_column_name": (c_void_p, [c_void_p, c_size_t, POINTER(c_size_t)]),
    "quorate_rows_column_index": (c_int32, [c_void_p, c_char_p, c_size_t, POINTER(c_size_t), POINTER(c_void_p)]),
    "quorate_rows_column_type": (c_int32, [c_void_p, c_size_t, POINTER(c_int32), POINTER(c_void_p)]),
    "quorate_rows_next": (c_int32, [c_void_p, POINTER(c_bool), POINTER(c_void_p)]),
    "quorate_rows_get_type": (c_int32, [c_void_p, c_size_t, POINTER(c_int32), POINTER(c_void_p)]),
    "quorate_rows_get_type_name": (c_int32, [c_void_p, c_size_t, POINTER(c_void_p), POINTER(c_size_t), POINTER(c_void_p)]),
    "quorate_rows_get_value": (c_int32, [c_void_p, c_size_t, POINTER(Value), POINTER(c_void_p)]),
    "quorate_rows_is_null": (c_int32, [c_void_p, c_size_t, POINTER(c_bool), POINTER(c_void_p)]),
    "quorate_rows_get_bool": (c_int32, [c_void_p, c_size_t, POINTER(c_bool), POINTER(c_void_p)]),
    "quorate_rows_get_int64": (c_int32, [c_void_p, c_size_t, POINTER(c_int64), POINTER(c_void_p)]),
    "quorate_rows_get_double": (c_int32, [c_void_p, c_size_t, POINTER(c_double), POINTER(c_void_p)]),
    "quorate_rows_get_text": (c_int32, [c_void_p, c_size_t, POINTER(c_void_p), POINTER(c_size_t), POINTER(c_void_p)]),
    "quorate_rows_get_blob": (c_int32, [c_void_p, c_size_t, POINTER(c_void_p), POINTER(c_size_t), POINTER(c_void_p)]),
    "quorate_rows_get_timestamp": (c_int32, [c_void_p, c_size_t, POINTER(Timestamp), POINTER(c_void_p)]),
    "quorate_rows_get_date": (c_int32, [c_void_p, c_size_t, POINTER(c_int64), POINTER(c_void_p)]),
    "quorate_rows_get_uuid": (c_int32, [c_void_p, c_size_t, c_void_p, POINTER(c_void_p)]),
    "quorate_rows_get_decimal": (c_int32, [c_void_p, c_size_t, POINTER(c_void_p), POINTER(c_size_t), POINTER(c_void_p)]),
    "quorate_rows_get_json": (c_int32, [c_void_p, c_size_t, POINTER(c_void_p), POINTER(c_size_t), POINTER(c_void_p)]),
    "quorate_rows_close": (c_int32, [c_void_p, POINTER(c_void_p)]),
    "quorate_rows_free": (None, [c_void_p]),
    "quorate_rows_fetch_columns": (c_int32, [c_void_p, c_size_t, POINTER(Column), c_size_t, POINTER(c_size_t), POINTER(c_bool), POINTER(c_void_p)]),
    "quorate_rows_fetch_values": (c_int32, [c_void_p, c_size_t, POINTER(ValueBuffer), POINTER(c_size_t), POINTER(c_bool), POINTER(c_void_p)]),
    "quorate_pool_query_row": (c_int32, [c_void_p, c_char_p, c_size_t, POINTER(Value), c_size_t, c_int64, c_void_p, POINTER(ValueBuffer), c_size_t, POINTER(c_size_t), POINTER(c_void_p)]),
    "quorate_connection_query_row": (c_int32, [c_void_p, c_char_p, c_size_t, POINTER(Value), c_size_t, c_int64, c_void_p, POINTER(ValueBuffer), c_size_t, POINTER(c_size_t), POINTER(c_void_p)]),
    "quorate_transaction_query_row": (c_int32, [c_void_p, c_char_p, c_size_t, POINTER(Value), c_size_t, c_int64, c_void_p, POINTER(ValueBuffer), c_size_t, POINTER(c_size_t), POINTER(c_void_p)]),
    "quorate_rows_export_arrow": (c_int32, [c_void_p, c_size_t, POINTER(c_int32), c_size_t, c_void_p, POINTER(c_void_p)]),
    "quorate_batch_new": (c_int32, [POINTER(c_void_p), POINTER(c_void_p)]),
    "quorate_batch_queue": (c_int32, [c_void_p, c_char_p, c_size_t, POINTER(Value), c_size_t, POINTER(c_void_p)]),
    "quorate_batch_len": (c_size_t, [c_void_p]),
    "quorate_batch_clear": (c_int32, [c_void_p, POINTER(c_void_p)]),
    "quorate_batch_free": (None, [c_void_p]),
    "quorate_results_left": (c_size_t, [c_void_p]),
    "quorate_results_exec": (c_int32, [c_void_p, POINTER(Result), POINTER(c_void_p)]),
    "quorate_results_query": (c_int32, [c_void_p, POINTER(c_void_p), POINTER(c_void_p)]),
    "quorate_results_close": (c_int32, [c_void_p, POINTER(c_void_p)]),
    "quorate_results_free": (None, [c_void_p]),
    "quorate_cancel_new": (c_int32, [POINTER(c_void_p), POINTER(c_void_p)]),
    "quorate_cancel_new_interrupt": (c_int32, [InterruptFn, c_void_p, DestroyFn, POINTER(c_void_p), POINTER(c_void_p)]),
    "quorate_cancel_clone": (c_int32, [c_void_p, POINTER(c_void_p), POINTER(c_void_p)]),
    "quorate_cancel_fire": (c_int32, [c_void_p, POINTER(c_void_p)]),
    "quorate_cancel_is_fired": (c_bool, [c_void_p]),
    "quorate_cancel_free": (None, [c_void_p]),
    "quorate_buffer_data": (c_void_p, [c_void_p, POINTER(c_size_t)]),
    "quorate_buffer_free": (None, [c_void_p]),
    "quorate_nodes_new": (c_int32, [POINTER(c_void_p), POINTER(c_void_p)]),
    "quorate_nodes_add": (c_int32, [c_void_p, c_uint64, c_char_p, c_size_t, c_int32, POINTER(c_void_p)]),
    "quorate_nodes_len": (c_size_t, [c_void_p]),
    "quorate_nodes_get": (c_int32, [c_void_p, c_size_t, POINTER(c_uint64), POINTER(c_void_p), POINTER(c_size_t), POINTER(c_int32), POINTER(c_void_p)]),
    "quorate_nodes_free": (None, [c_void_p]),
    "quorate_store_new": (c_int32, [c_void_p, POINTER(c_void_p), POINTER(c_void_p)]),
    "quorate_store_open": (c_int32, [c_char_p, c_size_t, POINTER(c_void_p), POINTER(c_void_p)]),
    "quorate_store_new_callbacks": (c_int32, [StoreGetFn, StoreSetFn, c_void_p, DestroyFn, POINTER(c_void_p), POINTER(c_void_p)]),
    "quorate_store_get": (c_int32, [c_void_p, POINTER(c_void_p), POINTER(c_void_p)]),
    "quorate_store_set": (c_int32, [c_void_p, c_void_p, POINTER(c_void_p)]),
    "quorate_store_clone": (c_int32, [c_void_p, POINTER(c_void_p), POINTER(c_void_p)]),
    "quorate_store_free": (None, [c_void_p]),
    "quorate_cluster_new": (c_int32, [c_void_p, POINTER(c_void_p), POINTER(c_void_p)]),
    "quorate_cluster_leader": (c_int32, [c_void_p, c_int64, c_void_p, POINTER(c_void_p), POINTER(c_void_p)]),
    "quorate_cluster_nodes": (c_int32, [c_void_p, c_int64, c_void_p, POINTER(c_void_p), POINTER(c_void_p)]),
    "quorate_cluster_add": (c_int32, [c_void_p, c_uint64, c_char_p, c_size_t, c_int64, c_void_p, POINTER(c_void_p)]),
    "quorate_cluster_assign": (c_int32, [c_void_p, c_uint64, c_int32, c_int64, c_void_p, POINTER(c_void_p)]),
    "quorate_cluster_remove": (c_int32, [c_void_p, c_uint64, c_int64, c_void_p, POINTER(c_void_p)]),
    "quorate_cluster_transfer": (c_int32, [c_void_p, c_uint64, c_int64, c_void_p, POINTER(c_void_p)]),
    "quorate_cluster_describe": (c_int32, [c_void_p, c_char_p, c_size_t, c_int64, c_void_p, POINTER(c_uint64), POINTER(c_uint64), POINTER(c_void_p)]),
    "quorate_cluster_set_weight": (c_int32, [c_void_p, c_char_p, c_size_t, c_uint64, c_int64, c_void_p, POINTER(c_void_p)]),
    "quorate_cluster_dump": (c_int32, [c_void_p, c_char_p, c_size_t, c_int64, c_void_p, POINTER(c_void_p), POINTER(c_void_p)]),
    "quorate_cluster_dump_from": (c_int32, [c_void_p, c_char_p, c_size_t, c_char_p, c_size_t, c_int64, c_void_p, POINTER(c_void_p), POINTER(c_void_p)]),
    "quorate_dump_len": (c_size_t, [c_void_p]),
    "quorate_dump_get": (c_int32, [c_void_p, c_size_t, POINTER(c_void_p), POINTER(c_size_t), POINTER(c_void_p), POINTER(c_size_t), POINTER(c_void_p)]),
    "quorate_dump_free": (None, [c_void_p]),
    "quorate_cluster_free": (None, [c_void_p]),
    "quorate_node_config_new": (c_int32, [c_uint64, c_char_p, c_size_t, c_char_p, c_size_t, POINTER(c_void_p), POINTER(c_void_p)]),
    "quorate_node_config_set": (c_int32, [c_void_p, c_char_p, c_size_t, c_char_p, c_size_t, POINTER(c_void_p)]),
    "quorate_node_config_free": (None, [c_void_p]),
    "quorate_node_start": (c_int32, [c_void_p, POINTER(c_void_p), POINTER(c_void_p)]),
    "quorate_node_id": (c_uint64, [c_void_p]),
    "quorate_node_address": (c_void_p, [c_void_p, POINTER(c_size_t)]),
    "quorate_node_bind_address": (c_void_p, [c_void_p, POINTER(c_size_t)]),
    "quorate_node_handover": (c_int32, [c_void_p, POINTER(c_void_p)]),
    "quorate_node_stop": (c_int32, [c_void_p, POINTER(c_void_p)]),
    "quorate_node_free": (None, [c_void_p]),
    "quorate_node_generate_id": (c_int32, [c_char_p, c_size_t, POINTER(c_uint64), POINTER(c_void_p)]),
    "quorate_node_library_version": (c_int32, [POINTER(c_uint32), POINTER(c_void_p)]),
    "quorate_version": (c_uint32, []),
    "quorate_version_text": (c_void_p, []),
}
