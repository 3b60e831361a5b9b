// links: vestige_bundle
/* Bundles: what is written is read; what is damaged is refused, at each byte. */
#include "recorder/keys/bundle.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void write_sample(struct buffer *text, bool is_token)
{
    bundle_begin(text);
    bundle_append(text, BUNDLE_HOST, slice_text("web1"));
    if (is_token)
        bundle_append(text, BUNDLE_TOKEN, slice_text("[vestige]\nuser = enrolling_1\n"));
    bundle_append(text, BUNDLE_OPTIONS, slice_text("[vestige]\nend of it\nfile ca.pem 3\n"));
    bundle_append(text, BUNDLE_CONFIGURATION, slice_text("[agent]\nhost_id = 7\n"));
    bundle_append(text, BUNDLE_AUTHORITY, slice_text(""));
    assert_int_equal(bundle_end(text), 0);
}

static void is_read(void **state)
{
    (void)state;
    for (int token = 0; token < 2; token++) {
        struct buffer text CLEANUP(buffer_deinit) = BUFFER_NULL;
        struct bundle bundle;
        write_sample(&text, token);
        assert_int_equal(bundle_parse(&bundle, buffer_slice(&text), NULL), 0);
        assert_true(slice_is(bundle.parts[BUNDLE_HOST], "web1"));
        assert_true(
            slice_is(bundle.parts[BUNDLE_OPTIONS], "[vestige]\nend of it\nfile ca.pem 3\n"));
        assert_true(slice_is(bundle.parts[BUNDLE_AUTHORITY], ""));
        assert_true(slice_is_null(bundle.parts[BUNDLE_KEY]));
        assert_int_equal(slice_is_null(bundle.parts[BUNDLE_TOKEN]), !token);
    }
}

static void each_cut_is_refused(void **state)
{
    (void)state;
    struct buffer text CLEANUP(buffer_deinit) = BUFFER_NULL;
    write_sample(&text, false);
    for (size_t n = 0; n < text.length; n++) {
        struct error_text error = ERROR_TEXT_NULL;
        struct bundle bundle;
        uint8_t *copy = malloc(n + 1); /* of its true size, for the sanitizer */
        memcpy(copy, text.data, n);
        assert_int_equal(bundle_parse(&bundle, slice_of(copy, n), &error), -EINVAL);
        assert_true(error.text[0]);
        free(copy);
    }
}

static void each_change_is_refused(void **state)
{
    (void)state;
    struct buffer text CLEANUP(buffer_deinit) = BUFFER_NULL;
    write_sample(&text, false);
    for (size_t i = 0; i < text.length; i++)
        for (unsigned bit = 0; bit < 8; bit++) {
            struct bundle bundle;
            text.data[i] ^= (uint8_t)(1u << bit);
            assert_int_equal(bundle_parse(&bundle, buffer_slice(&text), NULL), -EINVAL);
            text.data[i] ^= (uint8_t)(1u << bit);
        }
}

/** @p body with a right end. */
static int parse_body(const char *body, struct error_text *error)
{
    struct buffer text CLEANUP(buffer_deinit) = BUFFER_NULL;
    struct bundle bundle;
    bundle_begin(&text);
    buffer_append_text(&text, body);
    assert_int_equal(bundle_end(&text), 0);
    return bundle_parse(&bundle, buffer_slice(&text), error);
}

static void what_is_wrong_is_said(void **state)
{
    (void)state;
    static const struct {
        const char *body, *words;
    } cases[] = {
        {"file passwd 1\nx\n",                    "a file that no bundle has"   },
        {"file host 1\nx\nfile host 1\nx\n",      "a file twice"                },
        {"file host 70000\nx\n",                  "length of a file is wrong"   },
        {"file host -1\nx\n",                     "length of a file is wrong"   },
        {"file host\nx\n",                        "a file that no bundle has"   },
        {"file host 9999\nx\n",                   "a file ends too early"       },
        {"file host 1\nxy\n",                     "a file ends too early"       },
        {"nonsense\n",                            "neither a file nor the end"  },
        {"",                                      "does not name its host"      },
        {"file host 0\n\n",                       "does not name its host"      },
        {"file host 4\n\033[2J\n",                "does not name its host"      },
        {"file host 4\na\nb.\n",                  "does not name its host"      },
        {"file host 1\nx\n",                      "neither credential nor token"},
        {"file host 1\nx\nfile token.cnf 1\nx\n", "template"                    },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct error_text error = ERROR_TEXT_NULL;
        assert_int_equal(parse_body(cases[i].body, &error), -EINVAL);
        assert_non_null(strstr(error.text, cases[i].words));
    }
}

static void words_are_filled_in(void **state)
{
    (void)state;
    struct buffer text CLEANUP(buffer_deinit) = BUFFER_NULL;
    const struct bundle_word words[] = {
        {BUNDLE_DIRECTORY, "/etc/@user@"},
        {BUNDLE_USER,      "agent_7"    }
    };
    bundle_fill_in(&text, slice_text("a@directory@/b @user@@user@ @ @nobody@ @directory"), words,
                   2);
    assert_true(
        slice_is(buffer_slice(&text), "a/etc/@user@/b agent_7agent_7 @ @nobody@ @directory"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_read),
        cmocka_unit_test(each_cut_is_refused),
        cmocka_unit_test(each_change_is_refused),
        cmocka_unit_test(what_is_wrong_is_said),
        cmocka_unit_test(words_are_filled_in),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
