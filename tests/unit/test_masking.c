// links: vestige_masking
/* Command lines are written as words with blanks between; a word may be in quotes of this test: [a
 * b]. */
#include "recorder/masking/masking.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <setjmp.h>

#include <cmocka.h>

enum { WORDS = 64 };

static struct masking *usual(void)
{
    struct masking *masking = NULL;
    struct error_text error = ERROR_TEXT_NULL;
    if (masking_open(&masking, "", &error))
        fail_msg("%s", error.text);
    return masking;
}

static size_t split(const char *line, struct slice words[WORDS])
{
    size_t n = 0;
    while (*line && n < WORDS) {
        size_t length = *line == '[' ? strcspn(line, "]") - 1 : strcspn(line, " ");
        words[n++] = slice_of(line + (*line == '['), length);
        line += length + (*line == '[' ? 2 : 0);
        line += *line == ' ';
    }
    return n;
}

static void join(char *to, size_t size, const struct slice *words, size_t n)
{
    size_t length = 0;
    to[0] = '\0';
    for (size_t i = 0; i < n && length < size; i++) {
        bool blank = memchr(words[i].data, ' ', words[i].length) != NULL;
        length += (size_t)snprintf(to + length, size - length, "%s%s%.*s%s", i ? " " : "",
                                   blank ? "[" : "", (int)words[i].length,
                                   (const char *)words[i].data, blank ? "]" : "");
    }
}

static void expect(struct masking *masking, const char *line, const char *wanted)
{
    struct slice words[WORDS] = {
        {NULL, 0}
    };
    const struct slice *masked = words;
    char text[2048];
    size_t n = split(line, words);
    int outcome = masking_apply(masking, slice_text(""), words, n, &masked);
    join(text, sizeof(text), outcome > 0 ? masked : words, n);
    assert_string_equal(text, wanted);
    assert_int_equal(outcome, strcmp(line, wanted) != 0);
}

static void usual_tools(void **state)
{
    static const char *const lines[][2] = {
        {"mysql -u root -pgeheim db",                                                         "mysql -u root -p*** db"                },
        {"/usr/bin/mysql -pgeheim",                                                           "/usr/bin/mysql -p***"                  },
        {"sudo -u bob mysqldump -pgeheim --all-databases",
         "sudo -u bob mysqldump -p*** --all-databases"                                                                                },
        {"mariadb --password=ge=heim x",                                                      "mariadb --password=*** x"              },
        {"curl -u alice:geheim https://example.org/",                                         "curl -u alice:*** https://example.org/"},
        {"curl --user=alice:ge:heim x",                                                       "curl --user=alice:*** x"               },
        {"curl https://alice:geheim@example.org/a",                                           "curl https://alice:***@example.org/a"  },
        {"curl -H [Authorization: Bearer abc.def]",                                           "curl -H [Authorization: Bearer ***]"   },
        {"curl -H [X-Api-Key: abc def]",                                                      "curl -H [X-Api-Key: ***]"              },
        {"curl https://x/?a=1&token=geheim&b=2",                                              "curl https://x/?a=1&token=***&b=2"     },
        {"git clone https://ghp_0123456789abcdefghijKLMN@github.com/a/b",
         "git clone https://***@github.com/a/b"                                                                                       },
        {"env PGPASSWORD=geheim psql -h db",                                                  "env PGPASSWORD=*** psql -h db"         },
        {"docker run -e DB_PASSWORD=geheim -p 80:80 nginx",
         "docker run -e DB_PASSWORD=*** -p 80:80 nginx"                                                                               },
        {"docker login -u a -p geheim registry",                                              "docker login -u a -p *** registry"     },
        {"tool --api-key geheim run",                                                         "tool --api-key *** run"                },
        {"tool --password --verbose",                                                         "tool --password --verbose"             },
        {"sshpass -p geheim ssh host",                                                        "sshpass -p *** ssh host"               },
        {"smbclient //h/s -U alice%geheim",                                                   "smbclient //h/s -U alice%***"          },
        {"openssl rsa -passin pass:geheim -in k",                                             "openssl rsa -passin pass:*** -in k"    },
        {"htpasswd -nb alice geheim",                                                         "htpasswd -nb alice ***"                },
        {"useradd -m -p geheim alice",                                                        "useradd -m -p *** alice"               },
        {"mount -t cifs -o user=a,password=geheim,ro //h /m",
         "mount -t cifs -o user=a,password=***,ro //h /m"                                                                             },
        {"psql [host=db password=geheim user=a]",                                             "psql [host=db password=*** user=a]"    },
        {"sh -c [mysql -pgeheim | tee x]",                                                    "sh -c [mysql -p*** | tee x]"           },
        {"sh -c [sshpass -p 'ge heim' ssh h; true]",                                          "sh -c [sshpass -p '***' ssh h; true]"  },
        {"ssh host [PGPASSWORD=geheim psql]",                                                 "ssh host [PGPASSWORD=*** psql]"        },
        {"ssh host [sudo sh -c 'mysql -pgeheim db; id' x]",
         "ssh host [sudo sh -c 'mysql -p*** db; id' x]"                                                                               },
        {"bash -c [curl -H 'Authorization: Bearer abc' x]",
         "bash -c [curl -H 'Authorization: Bearer ***' x]"                                                                            },
        {"ssh host [sh -c 'PGPASSWORD=geheim psql db']",
         "ssh host [sh -c 'PGPASSWORD=*** psql db']"                                                                                  },
        {"7z a -pgeheim x.7z",                                                                "7z a -p*** x.7z"                       },
        {"redis-cli -a geheim get x",                                                         "redis-cli -a *** get x"                },
        {"docker run --env=DB_PASSWORD=geheim x",                                             "docker run --env=DB_PASSWORD=*** x"    },
        {"docker run -eDB_PASSWORD=geheim x",                                                 "docker run -eDB_PASSWORD=*** x"        },
        {"kubectl create secret generic s --from-literal=password=geheim",
         "kubectl create secret generic s --from-literal=password=***"                                                                },
        {"helm install --set auth.password=geheim,a=b c",                                     "helm install --set auth.password=*** c"},
        {"helm install --set auth.rootPassword=geheim c",
         "helm install --set auth.rootPassword=*** c"                                                                                 },
        {"terraform apply -var=db_password=geheim",                                           "terraform apply -var=db_password=***"  },
        {"java -Djavax.net.ssl.keyStorePassword=geheim -jar a.jar",
         "java -Djavax.net.ssl.keyStorePassword=*** -jar a.jar"                                                                       },
        {"ansible-playbook -e ansible_become_pass=geheim a.yml",
         "ansible-playbook -e ansible_become_pass=*** a.yml"                                                                          },
        {"rclone copy --sftp-pass geheim a b",                                                "rclone copy --sftp-pass *** a b"       },
        {"x11vnc -passwd geheim",                                                             "x11vnc -passwd ***"                    },
        {"mysqladmin -u root password geheim",                                                "mysqladmin -u root password ***"       },
        {"mysql -e [CREATE USER a IDENTIFIED BY 'ge heim']",
         "mysql -e [CREATE USER a IDENTIFIED BY '***']"                                                                               },
        {"mysql -e [ALTER USER a IDENTIFIED VIA x; SET PASSWORD FOR a = PASSWORD('geheim')]",
         "mysql -e [ALTER USER a IDENTIFIED VIA x; SET PASSWORD FOR a = PASSWORD('***')]"                                             },
        {"psql -c [ALTER ROLE a WITH PASSWORD 'geheim']",
         "psql -c [ALTER ROLE a WITH PASSWORD '***']"                                                                                 },
        {"curl -sSu alice:geheim x",                                                          "curl -sSu alice:*** x"                 },
        {"curl -b session=geheim x",                                                          "curl -b session=*** x"                 },
        {"curl --oauth2-bearer geheim x",                                                     "curl --oauth2-bearer *** x"            },
        {"curl -d {\"user\":\"a\",\"password\":\"geheim\"} x",
         "curl -d {\"user\":\"a\",\"password\":\"***\"} x"                                                                            },
        {"ssh-keygen -q -N geheim -f k",                                                      "ssh-keygen -q -N *** -f k"             },
        {"vault login s.geheim",                                                              "vault login ***"                       },
    };
    struct masking *masking = usual();
    (void)state;
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        expect(masking, lines[i][0], lines[i][1]);
    masking_free(masking);
}

static void what_is_no_secret(void **state)
{
    static const char *const lines[] = {
        "mkdir -p /tmp/a",
        "mysql --password db",
        "ssh -p 2222 host",
        "cp -pr a b",
        "ps -p1",
        "env PWD=/tmp ls",
        "curl -u alice https://example.org/a@b",
        "git clone https://alice@example.org/x",
        "git clone git@example.org:a/b.git",
        "grep password /etc/passwd",
        "passwd alice",
        "vi token=",
        "tool --password-file=/etc/secret",
        "tool --no-token",
        "mysqladmin status password",
        "vault login -method=oidc",
        "curl -b cookies.txt x",
        "ssh-keygen -P -f k",
        "mysql -e [SELECT password FROM t WHERE a = 'b']",
        "make BYPASS=1 COMPASS=2",
        "tar --passive=1",
        "docker run -p 8080:80 nginx",
        "sqlite3 a.db [select * from t]",
        "psql --password db",
    };
    struct masking *masking = usual();
    (void)state;
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        expect(masking, lines[i], lines[i]);
    masking_free(masking);
}

static void own_rules(void **state)
{
    struct masking_rules *rules = NULL;
    struct masking *masking = NULL;
    struct error_text error = ERROR_TEXT_NULL;
    (void)state;
    assert_int_equal(masking_rules_new(&rules), 0);
    assert_int_equal(masking_rules_parse(rules, "f",
                                         slice_text("# one\n\n  lock,un* after ^code$\n"
                                                    "a+b in ^x(?<secret>\\d+)$\n"),
                                         &error),
                     0);
    assert_int_equal(masking_rules_finish(rules), 0);
    assert_int_equal(masking_new(&masking, rules), 0);
    expect(masking, "/sbin/lock code 1234 on", "/sbin/lock code *** on");
    expect(masking, "unlock code 1234", "unlock code ***");
    expect(masking, "other code 1234", "other code 1234");
    expect(masking, "a x12", "a x12");
    expect(masking, "a b x12 x3", "a b x*** x***");
    masking_free(masking);
}

static void wrong_rules(void **state)
{
    static const char *const lines[][2] = {
        {"x in",                "f:2: write PROGRAMS in|after|last|code|except PATTERN [PATTERN]"  },
        {"x on (?<secret>a)",   "f:2: write PROGRAMS in|after|last|code|except PATTERN [PATTERN]"  },
        {"x in abc",            "f:2: the pattern has no group (?<secret>...)"                     },
        {"x in (?<secret>a",    "f:2: the pattern is wrong at byte 12: missing closing parenthesis"},
        {"x after a b",         "f:2: the pattern has no group (?<secret>...)"                     },
        {"x in (?<secret>a) b", "f:2: only `after` takes a second pattern; a blank is \\s"         },
    };
    (void)state;
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        struct masking_rules *rules = NULL;
        struct error_text error = ERROR_TEXT_NULL;
        char text[200];
        snprintf(text, sizeof(text), "# comment\n%s\n", lines[i][0]);
        assert_int_equal(masking_rules_new(&rules), 0);
        assert_int_equal(masking_rules_parse(rules, "f", slice_text(text), &error), -EINVAL);
        assert_string_equal(error.text, lines[i][1]);
        masking_rules_free(rules);
    }
}

/* A pattern that would take for ever counts as a match of all. */
static void endless_pattern(void **state)
{
    struct masking_rules *rules = NULL;
    struct masking *masking = NULL;
    struct error_text error = ERROR_TEXT_NULL;
    (void)state;
    assert_int_equal(masking_rules_new(&rules), 0);
    assert_int_equal(
        masking_rules_parse(rules, "f", slice_text("* in ^(?<secret>(?:a|aa)+)$"), &error), 0);
    assert_int_equal(masking_rules_finish(rules), 0);
    assert_int_equal(masking_new(&masking, rules), 0);
    expect(masking, "x aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaac", "x ***");
    masking_free(masking);
}

/* More secrets than spans are kept: nothing of them is left. */
static void many_secrets(void **state)
{
    enum { N = 10000 };
    struct masking *masking = usual();
    struct slice *words = calloc(N, sizeof(*words));
    const struct slice *masked = NULL;
    (void)state;
    assert_non_null(words);
    words[0] = slice_text("mysql");
    for (size_t i = 1; i < N; i++)
        words[i] = slice_text(i % 2 ? "--password=geheim" : "plain");
    assert_int_equal(masking_apply(masking, SLICE_NULL, words, N, &masked), 1);
    for (size_t i = 1; i < N; i++)
        assert_false(slice_is(masked[i], "--password=geheim"));
    assert_true(slice_is(masked[1], "--password=***"));
    assert_true(slice_is(masked[2], "plain"));
    assert_true(slice_is(masked[N - 1], "***"));
    free(words);
    masking_free(masking);
}

static void hostile_arguments(void **state)
{
    static const uint8_t bytes[] = {0xff, 0, ' ', '\'', '-', 'p', 0x80, '"', '\\'};
    struct masking *masking = usual();
    const struct slice *masked = NULL;
    struct slice words[] = {SLICE_NULL, slice_of(bytes, sizeof(bytes)), slice_of(bytes, 0),
                            slice_text("--token=x")};
    (void)state;
    assert_int_equal(masking_apply(masking, SLICE_NULL, words, 4, &masked), 1);
    assert_true(slice_equal(masked[1], words[1]));
    assert_true(slice_is(masked[3], "--token=***"));
    assert_int_equal(masking_apply(masking, SLICE_NULL, words, 0, &masked), 0);
    masking_free(masking);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(usual_tools),       cmocka_unit_test(what_is_no_secret),
        cmocka_unit_test(own_rules),         cmocka_unit_test(wrong_rules),
        cmocka_unit_test(endless_pattern),   cmocka_unit_test(many_secrets),
        cmocka_unit_test(hostile_arguments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
