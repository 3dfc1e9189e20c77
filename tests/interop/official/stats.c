/* Quartiles, and what lies beyond one and a half of their range, as the perf contract counts them.
 */
#define _GNU_SOURCE
#include "app.h"

#include <stdio.h>
#include <stdlib.h>

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Between two samples, in proportion. */
static double quantile(const double *sorted, int count, double share)
{
    double at = share * (count - 1);
    int below = (int)at;
    int above = below + 1 < count ? below + 1 : below;
    return sorted[below] + (sorted[above] - sorted[below]) * (at - below);
}

static void print_list(const char *name, const double *values, int count, int decimals)
{
    printf("  %s: [", name);
    for (int i = 0; i < count; i++)
        printf("%s%.*f", i ? ", " : "", decimals, values[i]);
    printf("]\n");
}

/* Sorted values have them at both ends. */
static void print_outliers(const double *sorted, int first, int end, int count, int decimals)
{
    const char *between = "";
    printf("  outliers: [");
    for (int i = 0; i < count; i++) {
        if (i >= first && i < end)
            continue;
        printf("%s%.*f", between, decimals, sorted[i]);
        between = ", ";
    }
    printf("]\n");
}

/* The quartiles are of all samples, smallest and largest of those that are no outliers: as the
 * other applications do it. */
void stats_print(const char *name, double *samples, int count, int decimals, const char *unit)
{
    qsort(samples, (size_t)count, sizeof(*samples), ascending);
    double q1 = quantile(samples, count, 0.25), q3 = quantile(samples, count, 0.75);
    double reach = 1.5 * (q3 - q1);
    int first = 0, end = count;
    while (samples[first] < q1 - reach)
        first++;
    while (samples[end - 1] > q3 + reach)
        end--;
    printf("%s:\n"
           "  iterations: %d\n"
           "  min: %.*f\n"
           "  q1: %.*f\n"
           "  median: %.*f\n"
           "  q3: %.*f\n"
           "  max: %.*f\n",
           name, count, decimals, samples[first], decimals, q1, decimals,
           quantile(samples, count, 0.5), decimals, q3, decimals, samples[end - 1]);
    print_outliers(samples, first, end, count, decimals);
    print_list("samples", samples, count, decimals);
    printf("  unit: %s\n", unit);
}
