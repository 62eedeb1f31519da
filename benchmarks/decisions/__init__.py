"""How often Noria decides wrongly, and how often it finds what is there: rollouts on real flights, intervals of few days.

Every figure is a rate over seeded runs, beside what it must be. Rollouts use all departures from New York in 2013, today's
rule on both sides, labels a day late and a look every six hours, from 88 start days.

    make bench NAME=decisions
    make bench NAME=decisions ARGS="--only rollouts"
"""
