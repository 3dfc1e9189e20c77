# The example of simulated hosts: every ping comes back, and the same arguments give the same run.
program=$1/examples/example-sim_hosts
[ -x "$program" ] || exit 77
# The time that it took is no part of the run.
first=$("$program" 200 | sed 's/[0-9.]* s, hash/hash/') || exit 1
second=$("$program" 200 | sed 's/[0-9.]* s, hash/hash/') || exit 1
echo "$first"
[ "$first" = "$second" ] && [[ $first == "200 hosts, 1800 pings, 0 lost,"* ]]
