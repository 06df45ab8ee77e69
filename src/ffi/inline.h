/* Values of parameters, made by hand. Texts and blobs are pointed to, not copied. */

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
#ifdef __cplusplus
    value.data.bytes.pointer = static_cast<const char *>(bytes);
#else
    value.data.bytes.pointer = bytes;
#endif
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

/* Days from 1970-01-01. */
static inline quorate_value quorate_make_date(int64_t days)
{
    quorate_value value = quorate_make_int64(days);
    value.kind = QUORATE_TYPE_DATE;
    return value;
}

/* The 16 bytes are copied. */
static inline quorate_value quorate_make_uuid(const uint8_t *bytes)
{
    quorate_value value = quorate_make_null();
    value.kind = QUORATE_TYPE_UUID;
    for (size_t i = 0; i < sizeof value.data.uuid; i++) value.data.uuid[i] = bytes[i];
    return value;
}

static inline quorate_value quorate_make_decimal(const char *text, size_t length)
{
    quorate_value value = quorate_make_text(text, length);
    value.kind = QUORATE_TYPE_DECIMAL;
    return value;
}

static inline quorate_value quorate_make_json(const char *text, size_t length)
{
    quorate_value value = quorate_make_text(text, length);
    value.kind = QUORATE_TYPE_JSON;
    return value;
}

/* The same value with the name of a parameter. */
static inline quorate_value quorate_make_named(const char *name, size_t length, quorate_value value)
{
    value.name = name;
    value.name_length = UINT32_MAX;
    if (length < UINT32_MAX) value.name_length = length & UINT32_MAX;
    return value;
}
