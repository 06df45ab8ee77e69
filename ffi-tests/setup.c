/* Makes a cluster of the nodes at the addresses of the command line, and checks the cluster client. */
#include "test.h"

int main(int argc, char **argv)
{
    quorate_config *config = NULL;
    quorate_cluster *cluster = NULL;
    quorate_nodes *nodes = NULL;
    quorate_buffer *leader = NULL;
    size_t len = 0;
    OK(quorate_config_new(TEXT(url()), &config, &error));
    OK(quorate_cluster_new(config, &cluster, &error));
    quorate_config_free(config);
    for (int i = 2; i < argc; i++) {
        OK(quorate_cluster_add(cluster, (uint64_t)i, TEXT(argv[i]), DEFAULT, &error));
        OK(quorate_cluster_assign(cluster, (uint64_t)i, QUORATE_NODE_ROLE_VOTER, DEFAULT, &error));
    }
    OK(quorate_cluster_leader(cluster, DEFAULT, &leader, &error));
    CHECK(strcmp(quorate_buffer_data(leader, &len), argv[1]) == 0 && len == strlen(argv[1]));
    quorate_buffer_free(leader);
    OK(quorate_cluster_nodes(cluster, DEFAULT, &nodes, &error));
    CHECK(quorate_nodes_len(nodes) == (size_t)argc - 1);
    for (size_t i = 0; i < quorate_nodes_len(nodes); i++) {
        uint64_t id;
        const char *address;
        quorate_node_role role;
        OK(quorate_nodes_get(nodes, i, &id, &address, &len, &role, &error));
        CHECK(role == QUORATE_NODE_ROLE_VOTER && strcmp(address, argv[id]) == 0);
    }
    EXPECT(MISUSE, quorate_cluster_assign(cluster, 1, 7, DEFAULT, &error));
    quorate_nodes_free(nodes);
    uint64_t domain = 1, weight = 1;
    OK(quorate_cluster_set_weight(cluster, TEXT(argv[1]), 3, DEFAULT, &error));
    OK(quorate_cluster_describe(cluster, TEXT(argv[1]), DEFAULT, &domain, &weight, &error));
    CHECK(weight == 3);
    quorate_cluster_free(cluster);
    return 0;
}
