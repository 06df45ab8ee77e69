"""What of SQLAlchemy's requirements dqlite meets, where it is not what SQLAlchemy takes for granted.

Those that are left closed by SQLAlchemy and are not opened here are listed in skipped.py with their reason.
"""

from sqlalchemy.testing import exclusions
from sqlalchemy.testing.provision import temp_table_keyword_args
from sqlalchemy.testing.requirements import SuiteRequirements

from skipped import CLOSED

OPEN = """
autocommit boolean_col_expressions check_constraint_reflection computed_columns computed_columns_stored
computed_columns_virtual create_table_as create_temp_table_as ctes ctes_on_dml ctes_with_update_delete date_historic datetime_historic
datetime_literals dbapi_lastrowid except_ expression_server_defaults fk_constraint_option_reflection_ondelete_noaction
fk_constraint_option_reflection_ondelete_restrict fk_constraint_option_reflection_onupdate_restrict
float_or_double_precision_behaves_generically foreign_key_constraint_name_reflection
foreign_key_constraint_option_reflection_ondelete foreign_key_constraint_option_reflection_onupdate has_temp_table
index_ddl_if_exists infinity_floats inline_check_constraint_reflection intersect isolation_level json_type
mod_operator_as_percent_sign nullsordering order_by_label_with_expression precision_numerics_enotation_small
recursive_fk_cascade reflects_pk_names savepoints server_defaults supports_bitwise_and supports_bitwise_not supports_bitwise_or
supports_bitwise_shift table_ddl_if_exists temp_table_names temporary_views timestamp_microseconds tuple_in
unicode_ddl update_from uuid_data_type views window_functions window_range window_range_numeric
reflect_table_options computed_columns_reflect_persisted repeated_column_foreign_keys repeated_remote_col_foreign_keys
skip_autocommit_rollback indexes_with_expressions indexes_check_column_order legacy_unconditional_json_extract numeric_received_as_decimal_untyped
""".split()


@temp_table_keyword_args.for_db("quorate")
def _temp_table(config, engine):
    return {"prefixes": ["TEMPORARY"]}


class Requirements(SuiteRequirements):
    def get_order_by_collation(self, config):
        return "NOCASE"

    def get_isolation_levels(self, config):
        return {"default": "SERIALIZABLE", "supported": ["SERIALIZABLE", "AUTOCOMMIT"]}


for name in OPEN:
    setattr(Requirements, name, property(lambda self: exclusions.open()))
for name in CLOSED:
    setattr(Requirements, name, property(lambda self: exclusions.closed()))
