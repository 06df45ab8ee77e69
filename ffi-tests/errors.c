/* What an error says: status, outcome, code, node, and the cause of each node. */
#include "test.h"

int main(void)
{
    quorate_pool *pool = NULL;
    quorate_error *found = NULL;
    int32_t code = 7;
    size_t len = 7;

    EXPECT(CONFIG, quorate_pool_open(TEXT("dqlite://h:1/db?pool_max_con=1"), &pool, &error));
    CHECK(pool == NULL);
    CHECK(quorate_pool_open(TEXT("nonsense"), &pool, NULL) == QUORATE_STATUS_CONFIG);

    pool = open_pool();
    exec_sql(pool, "DROP TABLE IF EXISTS c_errors");
    exec_sql(pool, "CREATE TABLE c_errors (id INTEGER PRIMARY KEY)");
    exec_sql(pool, "INSERT INTO c_errors VALUES (1)");
    quorate_status status =
        quorate_pool_exec(pool, TEXT("INSERT INTO c_errors VALUES (1)"), NULL, 0, DEFAULT, NULL, &found);
    CHECK(status == QUORATE_STATUS_CONSTRAINT && quorate_error_status(found) == status);
    CHECK(quorate_error_outcome(found) == QUORATE_OUTCOME_REJECTED);
    if (is_dqlite()) {
        CHECK(quorate_error_code(found, &code) && code == 1555 && quorate_error_code(found, NULL));
        CHECK(quorate_error_sqlstate(found, &len) == NULL && len == 0);
    } else {
        CHECK(!quorate_error_code(found, &code) && code == 0);
        CHECK(strcmp(quorate_error_sqlstate(found, &len), "23505") == 0 && len == 5);
    }
    CHECK(!quorate_error_is_retryable(found));
    CHECK(strstr(quorate_error_message(found, &len), EITHER("UNIQUE", "unique")) != NULL && len > 6);
    CHECK(strstr(quorate_error_text(found, NULL), "constraint failed") != NULL);
    CHECK(quorate_error_node(found, &len) != NULL && strlen(quorate_error_node(found, NULL)) == len);
    CHECK(quorate_error_causes(found) == 0 && quorate_error_cause(found, 0) == NULL);
    const char *detail = quorate_error_detail(found, &len);
    if (is_dqlite()) {
        CHECK(detail == NULL && len == 0);
    } else {
        CHECK(strcmp(detail, "Key (id)=(1) already exists.") == 0 && len == strlen(detail));
        CHECK(strstr(quorate_error_text(found, NULL), detail) == NULL);
    }
    CHECK(quorate_error_hint(found, &len) == NULL && len == 0);
    for (int32_t field = -1; field < 20; field++) {
        const char *text = quorate_error_field(found, field, &len);
        bool has = !is_dqlite() && (field == QUORATE_FIELD_SEVERITY || (field >= QUORATE_FIELD_SCHEMA && field <= QUORATE_FIELD_TABLE) || (field >= QUORATE_FIELD_CONSTRAINT && field <= QUORATE_FIELD_ROUTINE));
        CHECK((text != NULL) == has && len == (has ? strlen(text) : 0));
    }
    if (!is_dqlite()) {
        CHECK(strcmp(quorate_error_field(found, QUORATE_FIELD_CONSTRAINT, &len), "c_errors_pkey") == 0 && len == 13);
        CHECK(strcmp(quorate_error_field(found, QUORATE_FIELD_TABLE, NULL), "c_errors") == 0);
        CHECK(strcmp(quorate_error_field(found, QUORATE_FIELD_SEVERITY, NULL), "ERROR") == 0);
    }
    quorate_error_free(found);
    if (!is_dqlite()) {
        CHECK(quorate_pool_exec(pool, TEXT("SELECT lenth('x')"), NULL, 0, DEFAULT, NULL, &found) == QUORATE_STATUS_DATABASE);
        CHECK(strstr(quorate_error_hint(found, &len), "No function matches") != NULL && len > 20);
        CHECK(strcmp(quorate_error_field(found, QUORATE_FIELD_POSITION, &len), "8") == 0 && len == 1);
        quorate_error_free(found);
    }
    exec_sql(pool, "DROP TABLE c_errors");
    quorate_pool_free(pool);

    /* Nobody listens there: each node has a cause. */
    OK(quorate_pool_open(TEXT(EITHER("dqlite://127.0.0.9:1,127.0.0.9:2/db?retry_limit=1", "postgres://u@127.0.0.9:1,127.0.0.9:2/db")), &pool, &error));
    status = quorate_pool_ping(pool, 3000, NULL, &found);
    CHECK(status == EITHER(QUORATE_STATUS_NO_LEADER, QUORATE_STATUS_CONNECT) && quorate_error_is_retryable(found));
    CHECK(quorate_error_causes(found) == 2);
    for (size_t i = 0; i < 2; i++) {
        CHECK(strncmp(quorate_error_cause_node(found, i, &len), "127.0.0.9:", 10) == 0 && len == 11);
        CHECK(quorate_error_status(quorate_error_cause(found, i)) == QUORATE_STATUS_CONNECT);
    }
    CHECK(quorate_error_cause_node(found, 2, &len) == NULL && len == 0);
    quorate_error_free(found);
    quorate_pool_free(pool);

    CHECK(quorate_error_status(NULL) == QUORATE_STATUS_OK && !quorate_error_code(NULL, &code) && code == 0);
    CHECK(quorate_error_text(NULL, &len) == NULL && len == 0 && quorate_error_causes(NULL) == 0);
    CHECK(quorate_error_detail(NULL, &len) == NULL && quorate_error_hint(NULL, &len) == NULL && len == 0);
    CHECK(quorate_error_field(NULL, QUORATE_FIELD_CONSTRAINT, &len) == NULL && len == 0);
    CHECK(strcmp(quorate_status_text(QUORATE_STATUS_NO_LEADER), "no leader available") == 0);
    CHECK(strcmp(quorate_status_text(QUORATE_STATUS_OK), "ok") == 0 && strcmp(quorate_status_text(-7), "unknown status") == 0);
    CHECK(quorate_version() == QUORATE_VERSION_MAJOR * 1000000 + QUORATE_VERSION_MINOR * 1000 + QUORATE_VERSION_PATCH);
    CHECK(quorate_version_text() != NULL);
    return 0;
}
