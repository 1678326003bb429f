/* ledger.c - see ledger.h */
#include "ledger.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>
#include <sys/stat.h>

struct mscope_ledger {
    sqlite3 *db;
    sqlite3_stmt *add, *trim;
    unsigned long long failed;
    atomic_llong last;
};

static const char SCHEMA[] =
    "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA user_version=1;"
    "CREATE TABLE IF NOT EXISTS alert (id INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, source TEXT NOT NULL,"
    " tbl TEXT NOT NULL, step REAL NOT NULL, code TEXT NOT NULL, level INTEGER NOT NULL, text TEXT NOT NULL, key TEXT);"
    "CREATE UNIQUE INDEX IF NOT EXISTS same ON alert (source, key);";

int mscope_ledger_path(char *out, size_t cap)
{
    const char *own = getenv("MOMENTSCOPE_ALERTS"), *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    int n;

    if (own != NULL && own[0] != '\0')
        n = snprintf(out, cap, "%s", own);
    else if (state != NULL && state[0] == '/')
        n = snprintf(out, cap, "%s/momentscope/alerts.db", state);
    else if (home != NULL && home[0] == '/')
        n = snprintf(out, cap, "%s/.local/state/momentscope/alerts.db", home);
    else
        return -1;
    return n > 0 && (size_t)n < cap ? 0 : -1;
}

/* The folders above path; what is wrong with them shows when the file is opened. */
static void make_folders(const char *path)
{
    char *folder = strdup(path);

    for (char *at = folder != NULL ? strchr(folder + 1, '/') : NULL; at != NULL; at = strchr(at + 1, '/')) {
        *at = '\0';
        (void)mkdir(folder, 0700);
        *at = '/';
    }
    free(folder);
}

static int prepare(mscope_ledger *l, int write)
{
    sqlite3_stmt *last = NULL;
    int rc = SQLITE_OK;

    (void)sqlite3_busy_timeout(l->db, 2000);
    if (write)
        rc = sqlite3_exec(l->db, SCHEMA, NULL, NULL, NULL);
    if (rc == SQLITE_OK && write)
        rc = sqlite3_prepare_v2(l->db, "INSERT OR IGNORE INTO alert (at, source, tbl, step, code, level,"
                                       " text, key) VALUES (?,?,?,?,?,?,?,?)", -1, &l->add, NULL);
    if (rc == SQLITE_OK && write)
        rc = sqlite3_prepare_v2(l->db, "DELETE FROM alert WHERE id <= ?", -1, &l->trim, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_prepare_v2(l->db, "SELECT coalesce(max(id), 0) FROM alert", -1, &last, NULL);
    if (rc == SQLITE_OK && sqlite3_step(last) == SQLITE_ROW)
        atomic_store(&l->last, sqlite3_column_int64(last, 0));
    (void)sqlite3_finalize(last);
    return rc;
}

int mscope_ledger_open(mscope_ledger **out, const char *path, int write, char *why, size_t cap)
{
    const int flags = write ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE : SQLITE_OPEN_READONLY;
    mscope_ledger *l = calloc(1, sizeof *l);
    int rc = SQLITE_NOMEM;

    *out = NULL;
    if (l != NULL && path != NULL && write)
        make_folders(path);
    if (l != NULL)
        rc = sqlite3_open_v2(path != NULL ? path : ":memory:", &l->db, flags, NULL);
    if (rc == SQLITE_OK)
        rc = prepare(l, write);
    if (rc == SQLITE_OK) {
        *out = l;
        return 0;
    }
    (void)snprintf(why, cap, "%s: %s", path != NULL ? path : "alerts in memory",
                   l != NULL && l->db != NULL ? sqlite3_errmsg(l->db) : sqlite3_errstr(rc));
    mscope_ledger_close(l);
    return MSCOPE_EIO;
}

void mscope_ledger_close(mscope_ledger *l)
{
    if (l == NULL)
        return;
    (void)sqlite3_finalize(l->add);
    (void)sqlite3_finalize(l->trim);
    (void)sqlite3_close(l->db);
    free(l);
}

long long mscope_ledger_add(mscope_ledger *l, const mscope_happening *h, const char *source)
{
    long long id;
    int rc;

    if (l == NULL || l->add == NULL)
        return 0;
    (void)sqlite3_bind_double(l->add, 1, h->at);
    (void)sqlite3_bind_text(l->add, 2, source, -1, SQLITE_STATIC);
    (void)sqlite3_bind_text(l->add, 3, h->table, -1, SQLITE_STATIC);
    (void)sqlite3_bind_double(l->add, 4, h->step);
    (void)sqlite3_bind_text(l->add, 5, h->code, -1, SQLITE_STATIC);
    (void)sqlite3_bind_int(l->add, 6, (int)h->level);
    (void)sqlite3_bind_text(l->add, 7, h->text, -1, SQLITE_STATIC);
    if (h->key[0] != '\0')
        (void)sqlite3_bind_text(l->add, 8, h->key, -1, SQLITE_STATIC);
    else
        (void)sqlite3_bind_null(l->add, 8);
    rc = sqlite3_step(l->add);
    (void)sqlite3_reset(l->add);
    if (rc != SQLITE_DONE) {
        l->failed++;
        return 0;
    }
    if (sqlite3_changes(l->db) == 0)
        return 0;
    id = sqlite3_last_insert_rowid(l->db);
    atomic_store(&l->last, id);
    (void)sqlite3_bind_int64(l->trim, 1, id - MSCOPE_LEDGER_MOST);
    (void)sqlite3_step(l->trim);
    (void)sqlite3_reset(l->trim);
    return id;
}

static void read_row(sqlite3_stmt *row, mscope_happening *h, char source[MSCOPE_NAME_MAX + 1])
{
    const int level = sqlite3_column_int(row, 6);

    memset(h, 0, sizeof *h);
    h->at = sqlite3_column_double(row, 1);
    (void)snprintf(source, MSCOPE_NAME_MAX + 1, "%s", (const char *)sqlite3_column_text(row, 2));
    (void)snprintf(h->table, sizeof h->table, "%s", (const char *)sqlite3_column_text(row, 3));
    h->step = sqlite3_column_double(row, 4);
    (void)snprintf(h->code, sizeof h->code, "%s", (const char *)sqlite3_column_text(row, 5));
    h->level = level >= 0 && level <= MSCOPE_LEVEL_UNSTABLE ? (enum mscope_concern)level : MSCOPE_LEVEL_UNKNOWN;
    (void)snprintf(h->text, sizeof h->text, "%s", (const char *)sqlite3_column_text(row, 7));
}

int mscope_ledger_each(mscope_ledger *l, const mscope_ledger_query *q,
                       int (*take)(void *context, const mscope_happening *h, const char *source, long long id),
                       void *context)
{
    static const char SQL[] = "SELECT * FROM (SELECT id, at, source, tbl, step, code, level, text FROM alert"
                              " WHERE id > ?1 AND at >= ?2 AND (?3 IS NULL OR tbl = ?3) AND level >= ?4"
                              " ORDER BY id DESC LIMIT ?5) ORDER BY id";
    char source[MSCOPE_NAME_MAX + 1];
    mscope_happening h;
    sqlite3_stmt *row;
    int n = 0, rc;

    if (l == NULL || sqlite3_prepare_v2(l->db, SQL, -1, &row, NULL) != SQLITE_OK)
        return -1;
    (void)sqlite3_bind_int64(row, 1, q->since);
    (void)sqlite3_bind_double(row, 2, q->from);
    if (q->table != NULL)
        (void)sqlite3_bind_text(row, 3, q->table, -1, SQLITE_STATIC);
    (void)sqlite3_bind_int(row, 4, q->alarms ? MSCOPE_LEVEL_GROWING : 0);
    (void)sqlite3_bind_int(row, 5, q->most > 0 ? q->most : -1);
    while ((rc = sqlite3_step(row)) == SQLITE_ROW) {
        read_row(row, &h, source);
        n++;
        if (take(context, &h, source, sqlite3_column_int64(row, 0)) != 0)
            break;
    }
    (void)sqlite3_finalize(row);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? n : -1;
}

long long mscope_ledger_last(mscope_ledger *l)
{
    return l != NULL ? atomic_load(&l->last) : 0;
}

unsigned long long mscope_ledger_failed(const mscope_ledger *l)
{
    return l != NULL ? l->failed : 0;
}
