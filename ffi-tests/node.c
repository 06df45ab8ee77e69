/* A node in this process, and a dump of its database. */
#include "test.h"

int main(void)
{
    quorate_node_config *config = NULL;
    quorate_node *node = NULL;
    quorate_pool *pool = NULL;
    quorate_cluster *cluster = NULL;
    quorate_config *client = NULL;
    quorate_dump *dump = NULL;
    char directory[512], address[64], own_url[128];
    uint64_t id = 0;
    uint32_t version = 0;
    size_t len;

    snprintf(directory, sizeof directory, "%s/own-%p", getenv("QUORATE_TEST_DIR"), (void *)&id);
    const char *host = strstr(url(), "//") + 2;
    snprintf(address, sizeof address, "%.*s:9300", (int)(strchr(host, ':') - host), host);
    snprintf(own_url, sizeof own_url, "dqlite://%s/own", address);
    OK(quorate_node_library_version(&version, &error));
    OK(quorate_node_generate_id(TEXT(address), &id, &error));
    CHECK(version >= 1000000 && id != 0);
    OK(quorate_node_config_new(1, TEXT(address), TEXT(directory), &config, &error));
    OK(quorate_node_config_set(config, TEXT("network_latency"), TEXT("20ms"), &error));
    OK(quorate_node_config_set(config, TEXT("snapshot_params"), TEXT("512, 1024"), &error));
    EXPECT(CONFIG, quorate_node_config_set(config, TEXT("network_latenzy"), TEXT("20ms"), &error));
    EXPECT(CONFIG, quorate_node_config_set(config, TEXT("network_latency"), TEXT("soon"), &error));
    OK(quorate_node_start(config, &node, &error));
    quorate_node_config_free(config);
    CHECK(quorate_node_id(node) == 1 && strcmp(quorate_node_address(node, &len), address) == 0);
    CHECK(quorate_node_bind_address(node, &len) != NULL && len > 0);
    OK(quorate_pool_open(TEXT(own_url), &pool, &error));
    exec_sql(pool, "CREATE TABLE t (a)");
    exec_sql(pool, "INSERT INTO t VALUES (1)");
    OK(quorate_config_new(TEXT(own_url), &client, &error));
    quorate_buffer *name = NULL;
    OK(quorate_config_name(client, &name, &error));
    CHECK(strcmp(quorate_buffer_data(name, NULL), "own") == 0);
    quorate_buffer_free(name);
    OK(quorate_cluster_new(client, &cluster, &error));
    OK(quorate_cluster_dump(cluster, TEXT("own"), DEFAULT, &dump, &error));
    CHECK(quorate_dump_len(dump) == 2);
    const char *file, *data;
    size_t file_len, data_len;
    OK(quorate_dump_get(dump, 0, &file, &file_len, &data, &data_len, &error));
    CHECK(strcmp(file, "own") == 0 && file_len == 3 && data_len > 0);
    EXPECT(MISUSE, quorate_dump_get(dump, 2, &file, &file_len, &data, &data_len, &error));
    quorate_dump_free(dump);
    OK(quorate_cluster_dump_from(cluster, TEXT(address), TEXT("own"), DEFAULT, &dump, &error));
    CHECK(quorate_dump_len(dump) == 2);
    quorate_dump_free(dump);
    EXPECT(CONNECT, quorate_cluster_dump_from(cluster, TEXT("127.0.0.1:1"), TEXT("own"), DEFAULT, &dump, &error));
    CHECK(dump == NULL);
    quorate_cluster_free(cluster);
    quorate_config_free(client);
    OK(quorate_pool_close(pool, 5000, &error));
    quorate_pool_free(pool);
    OK(quorate_node_stop(node, &error));
    OK(quorate_node_stop(node, &error));
    EXPECT(CLOSED, quorate_node_handover(node, &error));
    quorate_node_free(node);
    return 0;
}
