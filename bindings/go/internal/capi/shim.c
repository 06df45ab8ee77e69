// The functions of Go that the library calls.

#include "shim.h"
#include "_cgo_export.h"

_Thread_local const quorate_cancel *qg_current;

static void forget(void *user_data)
{
    quorateGoForget((uintptr_t)user_data);
}

static void log_message(void *user_data, int32_t level, const char *message, size_t message_len)
{
    quorateGoLog((uintptr_t)user_data, level, (char *)message, message_len);
}

static void tell_event(void *user_data, const quorate_event *event)
{
    quorateGoEvent((uintptr_t)user_data, (quorate_event *)event);
}

static size_t balance(void *user_data, const quorate_candidate *candidates, size_t candidates_len)
{
    return quorateGoBalance((uintptr_t)user_data, (quorate_candidate *)candidates, candidates_len);
}

static int32_t dial(void *user_data, const char *address, size_t address_len, int64_t timeout_ms)
{
    return quorateGoDial((uintptr_t)user_data, (char *)address, address_len, timeout_ms, (quorate_cancel *)qg_current);
}

static int32_t store_get(void *user_data, quorate_nodes *nodes)
{
    return quorateGoStoreGet((uintptr_t)user_data, nodes);
}

static int32_t store_set(void *user_data, const quorate_nodes *nodes)
{
    return quorateGoStoreSet((uintptr_t)user_data, (quorate_nodes *)nodes);
}

quorate_status qg_config_set_log(const quorate_config *config, uintptr_t handle, quorate_error **error)
{
    return quorate_config_set_log(config, log_message, (void *)handle, forget, error);
}

quorate_status qg_config_set_event(const quorate_config *config, uintptr_t handle, quorate_error **error)
{
    return quorate_config_set_event(config, tell_event, (void *)handle, forget, error);
}

quorate_status qg_config_set_balance(const quorate_config *config, uintptr_t handle, quorate_error **error)
{
    return quorate_config_set_balance(config, balance, (void *)handle, forget, error);
}

quorate_status qg_config_set_dial(const quorate_config *config, uintptr_t handle, quorate_error **error)
{
    return quorate_config_set_dial(config, dial, (void *)handle, forget, error);
}

quorate_status qg_store_new(uintptr_t handle, quorate_store **store, quorate_error **error)
{
    return quorate_store_new_callbacks(store_get, store_set, (void *)handle, forget, store, error);
}
