/* Values of parameters, made by hand. Texts and bytes are pointed to, not copied. */

static inline quorate_value quorate_make_null(void)
{
    quorate_value value = {0, 0, NULL, {0}};
    return value;
}

static inline quorate_value quorate_make_bool(bool truth)
{
    quorate_value value = quorate_make_null();
    value.kind = QUORATE_TYPE_BOOL;
    value.data.integer = truth;
    return value;
}

static inline quorate_value quorate_make_int64(int64_t integer)
{
    quorate_value value = quorate_make_null();
    value.kind = QUORATE_TYPE_INT64;
    value.data.integer = integer;
    return value;
}

static inline quorate_value quorate_make_double(double real)
{
    quorate_value value = quorate_make_null();
    value.kind = QUORATE_TYPE_DOUBLE;
    value.data.real = real;
    return value;
}

static inline quorate_value quorate_make_text(const char *text, size_t length)
{
    quorate_value value = quorate_make_null();
    value.kind = QUORATE_TYPE_TEXT;
    value.data.bytes.pointer = text;
    value.data.bytes.length = length;
    return value;
}

static inline quorate_value quorate_make_blob(const void *bytes, size_t length)
{
    quorate_value value = quorate_make_null();
    value.kind = QUORATE_TYPE_BLOB;
    value.data.bytes.pointer = (const char *)bytes;
    value.data.bytes.length = length;
    return value;
}

static inline quorate_value quorate_make_timestamp(quorate_timestamp timestamp)
{
    quorate_value value = quorate_make_null();
    value.kind = QUORATE_TYPE_TIMESTAMP;
    value.data.timestamp = timestamp;
    return value;
}

/* The same value with the name of a parameter. */
static inline quorate_value quorate_make_named(const char *name, uint32_t length, quorate_value value)
{
    value.name = name;
    value.name_length = length;
    return value;
}
