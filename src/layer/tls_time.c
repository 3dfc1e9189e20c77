#include "layer/tls_time.h"

#include <stdio.h>

enum {
    DAY_S = 86400,
    ERA_DAYS = 146097,   /* 400 years of the Gregorian calendar */
    EPOCH_DAYS = 719468, /* from 1 March of the year 0 to 1970 */
};

/* Years begin in March here, so that the leap day is a year's last. */
static int64_t days_of(int64_t year, int month, int day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t of_era = year - era * 400;
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * ERA_DAYS + of_era * 365 + of_era / 4 - of_era / 100 + of_year - EPOCH_DAYS;
}

struct date {
    int64_t year;
    int month, day;
};

static struct date date_of(int64_t days)
{
    days += EPOCH_DAYS;
    int64_t era = (days >= 0 ? days : days - (ERA_DAYS - 1)) / ERA_DAYS;
    int64_t of_era = days - era * ERA_DAYS;
    int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * year + year / 4 - year / 100);
    int64_t month = (5 * of_year + 2) / 153;
    struct date date = {.day = (int)(of_year - (153 * month + 2) / 5 + 1),
                        .month = (int)(month < 10 ? month + 3 : month - 9)};
    date.year = year + era * 400 + (date.month <= 2);
    return date;
}

/* In full, to the second, in UTC (RFC 5280, section 4.1.2.5): OpenSSL reads more than that. */
static bool well_formed(const ASN1_TIME *in)
{
    int len = ASN1_STRING_length(in);
    return len == (ASN1_STRING_type(in) == V_ASN1_UTCTIME ? 13 : 15) &&
           ASN1_STRING_get0_data(in)[len - 1] == 'Z';
}

bool p2p__tls_time_read(const ASN1_TIME *in, int64_t *out_s)
{
    struct tm tm;
    if (!well_formed(in) || ASN1_TIME_check(in) != 1 || ASN1_TIME_to_tm(in, &tm) != 1)
        return false;
    *out_s = days_of(tm.tm_year + INT64_C(1900), tm.tm_mon + 1, tm.tm_mday) * DAY_S +
             tm.tm_hour * 3600 + tm.tm_min * 60 + tm.tm_sec;
    return true;
}

bool p2p__tls_time_write(int64_t at_s, ASN1_TIME *out)
{
    int64_t days = (at_s >= 0 ? at_s : at_s - (DAY_S - 1)) / DAY_S;
    int of_day = (int)(at_s - days * DAY_S);
    struct date date = date_of(days);
    char text[40];
    if (date.year < 0 || date.year > 9999)
        return false;
    snprintf(text, sizeof(text), "%04d%02d%02d%02d%02d%02dZ", (int)date.year, date.month, date.day,
             of_day / 3600, of_day / 60 % 60, of_day % 60);
    return ASN1_TIME_set_string_X509(out, text) == 1;
}
